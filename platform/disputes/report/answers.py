"""What the accused answer, as tables of the report, and their bundles for the evidence."""

import uuid
from collections.abc import Mapping, Sequence

from disputes.models import Retest
from disputes.report.content import Fact, Table
from disputes.report.figures import line, time
from disputes.standing import Standing
from ledger.models import Certificate
from ledger.selectors import certificate_bundle
from registry import storage


def answer_tables(
    standings: Sequence[Standing], retests: Sequence[Retest], numbers: Mapping[uuid.UUID, int]
) -> tuple[Table, ...]:
    """One table for each registration that was lodged, and one for each new test asked for."""
    return (
        *(_lodged(number, one, numbers) for number, one in enumerate(standings, start=1)),
        *(_retest(one, numbers) for one in retests),
    )


def lodged_files(standings: Sequence[Standing]) -> dict[str, bytes]:
    """What was lodged, by its names in the evidence."""
    files = {}
    for number, one in enumerate(standings, start=1):
        row = one.lodged
        if row.certificate_id is not None:
            certificate = Certificate.objects.get(id=row.certificate_id)
            files[f"lodged/{number}/registration.zip"] = certificate_bundle(certificate).dumps()
        else:
            files[f"lodged/{number}/registration.zip"] = storage.get(row.bundle_sha256)
            files[f"lodged/{number}/trust.json"] = storage.get(row.trust_sha256)
    return files


def lodged_names(standings: Sequence[Standing]) -> tuple[tuple[str, str], ...]:
    """The same as a list of names and what they are."""
    rows = []
    for number, one in enumerate(standings, start=1):
        what = f"what {line(one.lodged.name)} lodged, with log proof"
        rows.append((f"lodged/{number}/registration.zip", what))
        if one.lodged.certificate_id is None:
            rows.append((f"lodged/{number}/trust.json", "the keys of the log that it comes from"))
    return tuple(rows)


def _lodged(number: int, one: Standing, numbers: Mapping[uuid.UUID, int]) -> Table:
    row, record = one.lodged, one.record
    facts = [
        Fact("Lodged", (f"{time(row.created_at)}, by {line(row.name)}",)),
        Fact("They say", tuple(map(line, filter(None, row.statement.splitlines())))),
    ]
    if record.registration is not None:
        said = record.registration
        facts += [
            Fact("Registered by", (line(said.organisation),)),
            Fact("Model", (line(f"{said.model_name} v{said.version}"),)),
            Fact("Root", (said.model_digest,), mono=True),
            Fact("Where", (line(f"entry {record.index:,} of {record.log}"),)),
        ]
    facts += [
        Fact(f"Run {numbers[compared.run.id]}", (compared.outcome, line(compared.how)))
        for compared in one.comparisons
        if compared.run.id in numbers
    ]
    return Table(f"Registration {number}", tuple(fact for fact in facts if any(fact.lines)))


def _retest(one: Retest, numbers: Mapping[uuid.UUID, int]) -> Table:
    done = numbers.get(one.again_id) if one.again_id else None
    came = f"run {done} of this case, with a fresh seed" if done else "it was not started"
    return Table(
        f"A new test of run {numbers.get(one.run_id, 0)}",
        (
            Fact("Asked for", (f"{time(one.created_at)}, by {line(one.name)}",)),
            Fact("Because", tuple(map(line, filter(None, one.reason.splitlines()))) or ("–",)),
            Fact("What came of it", (came,)),
        ),
    )
