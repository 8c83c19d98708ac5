"""The section of one run: what was decided first, what came back, and what it rests on."""

from collections import Counter

from disputes.report import wording
from disputes.report.by_method import BY_METHOD
from disputes.report.content import Fact, RunLine, RunSection, Table
from disputes.report.evidence import RunEvidence
from disputes.report.figures import NONE, line, measure, odds, share, short_date, time
from protection.models import Protection
from spellmark.certificates import certificate, checkpoints, notes
from spellmark.certificates.encoding import to_base64
from spellmark.certificates.entries import certificate_digest
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.evidence.trigger_rule import TRIGGER
from verification.methods import method_name
from verification.models import Run
from verification.plots import has_answers, run_plot, run_plot_text
from verification.services import run_rule
from verification.tries import Tries


def run_section(item: RunEvidence) -> RunSection:
    """Everything about a run of the case."""
    run = item.run
    tables = [
        _rule(run),
        _result(item),
        _suspect(item),
        _digests(item),
        _log(item),
        _registration(run),
        _checks(item),
    ]
    return RunSection(
        line=run_line(str(item.number), run),
        meaning=_meaning(run),
        reason=_reason(run),
        plot=run_plot(run),
        plot_text=run_plot_text(run),
        tables=tuple(table for table in tables if table.facts),
    )


def run_line(number: str, run: Run) -> RunLine:
    """A run in a list."""
    answered, probes = run.answered_probes, run.rule["probes"]
    return RunLine(
        number=number,
        id=str(run.id),
        suspect=line(run.suspect.name),
        method=method_name(run.method),
        evidence_class=run.evidence_class,
        outcome=outcome(run),
        p_value=share(run.p_value),
        alpha=share(run.rule["alpha"]),
        probes=NONE if answered is None else f"{answered:,} of {probes:,}",
        queries=f"{run.exchanges.count():,}",
        date=short_date(run.finished_at or run.job.finished_at or run.created_at),
    )


def outcome(run: Run) -> str:
    """How the run ended: its verdict, or what kept it from one."""
    state = run.job.State(run.job.state)
    if state == state.SUCCEEDED:
        return run.verdict
    return state.value if run.job.is_over else wording.UNFINISHED


def _meaning(run: Run) -> str:
    known = outcome(run)
    if known not in ("match", "no match") or not has_answers(run) or not run.p_value:
        return wording.MEANINGS.get(known, "")
    return BY_METHOD[run.method].meaning(run, known)


def _reason(run: Run) -> str:
    """What was put on record when the run ended."""
    if outcome(run) == wording.CANCELLED:
        last = run.job.lines.last()
        return line(last.text) if last else ""
    return line(run.reason or run.job.error)


def _rule(run: Run) -> Table:
    rule = run_rule(run)
    return Table(
        "The decision rule",
        (
            Fact("Run id", (str(run.id),), mono=True),
            Fact("Method", (f"{method_name(run.method)} ({run.method})",)),
            Fact("False-positive rate α", (f"{share(rule.alpha)}, that is {odds(rule.alpha)}",)),
            *BY_METHOD[run.method].rule(run, rule),
            Fact("Random seed", (run.seed,), mono=True),
            Fact("Fixed", (f"{time(run.created_at)}, by {line(run.created_by)}",)),
        ),
        note="Fixed when the run was made, before the first query.",
    )


def _result(item: RunEvidence) -> Table:
    run = item.run
    facts = []
    if has_answers(run):
        facts = [
            *BY_METHOD[run.method].result(run),
            Fact("p-value", (f"{share(run.p_value)} (α = {share(run.rule['alpha'])})",)),
            Fact("Tries of this owner", _tries(item)),
        ]
    states: Counter[str] = Counter(run.exchanges.values_list("state", flat=True))
    sent = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    levels = run.access_level.split(" and ") if run.access_level else []
    ended = run.finished_at or run.job.finished_at
    facts += [
        Fact("Queries sent", (sent or "none",)),
        Fact("Access level", BY_METHOD[run.method].access(levels)),
        Fact("Ended", (time(ended),) if ended else ()),
    ]
    return Table("What came back", _told(*facts))


def _tries(item: RunEvidence) -> tuple[str, ...]:
    """An owner who tried often had many chances; the certificate says how many."""
    if item.verdict is None or not item.run.p_value:
        return ()
    if item.run.method == TRIGGER:
        return ("all of them are counted in the p-value already",)
    tries = Tries.of(item.verdict.parameters)
    if tries.count == 1:
        return ("the only key, and the first run with it",)
    held = share(tries.held(item.run.p_value))
    return (f"{tries}; held to all of them, p is at most {held}",)


def _suspect(item: RunEvidence) -> Table:
    suspect, signed = item.run.suspect, item.verdict.suspect if item.verdict else {}
    described = {**suspect.config, **signed}
    protocol = f"({described['protocol']})" if "protocol" in described else ""
    seen = item.run.exchanges.values_list("line__tls_certificate_sha256", flat=True)
    return Table(
        "The suspect",
        _told(
            Fact("Name", (line(suspect.name),)),
            Fact("Kind", (line(f"{suspect.get_kind_display().lower()} {protocol}"),)),
            Fact("Address", (line(described.get("url", "")),), mono=True),
            Fact("Model asked", (line(described.get("model", "")),)),
            Fact("TLS certificates, SHA-256", tuple(sorted(set(seen) - {None})), mono=True),
            Fact("Named", (f"{time(suspect.created_at)}, by {line(suspect.created_by)}",)),
        ),
    )


def _digests(item: RunEvidence) -> Table:
    run, version = item.run, item.run.owners
    envelope = certificate.loads(item.bundle.certificate) if item.bundle else None
    return Table(
        "Digests",
        _told(
            Fact(f"Version {version}, root", (version.root_digest,), mono=True),
            Fact("Transcript", (run.transcript_sha256,), mono=True),
            Fact("Certificate", (certificate_digest(envelope) if envelope else "",), mono=True),
            Fact("Signed with the key", (envelope.keyid if envelope else "",), mono=True),
            Fact("Suspect’s file", (run.suspect.sha256,), mono=True),
        ),
        note="SHA-256, in hexadecimal. The root covers all files of the owner’s version (OpenSSF "
        "Model Signing)." + ("" if envelope else " A run without a verdict has no certificate."),
    )


def _log(item: RunEvidence) -> Table:
    if item.bundle is None:
        return Table("Its place in the log", ())
    proof = TlogProof.loads(item.bundle.proof)
    checkpoint = checkpoints.parse_body(notes.parse(proof.checkpoint).text)
    return Table(
        "Its place in the log",
        (
            Fact("Entry", (f"No. {proof.index:,}; the checkpoint covers {checkpoint.size:,}",)),
            Fact("Inclusion proof", tuple(map(to_base64, proof.hashes)), mono=True),
            Fact(
                "Checkpoint: log, size, root and signature",
                tuple(filter(None, proof.checkpoint.decode().splitlines())),
                mono=True,
            ),
        ),
        note="As it stands in certificate.tlog-proof of the evidence.",
    )


def _registration(run: Run) -> Table:
    if run.protection is None:
        return Table(
            "The registration it rests on",
            _told(
                Fact("Version", (line(str(run.version)),)),
                Fact("Entry of the log", (f"No. {run.registration_index:,}",)),
                Fact("Certificate", (run.registration_digest,), mono=True),
            ),
            note="The owner’s version, in the log before the suspect was asked. A fingerprint "
            "rests on no secret.",
        )
    commitment = run.protection.commitment
    settings = ", ".join(f"{name} {value}" for name, value in sorted(commitment.parameters.items()))
    return Table(
        "The registration it rests on",
        _told(
            Fact("Scheme", (line(f"{commitment.scheme} ({settings})"),)),
            Fact("Commitment", (commitment.digest,), mono=True),
            Fact(
                "Committed", (f"{time(commitment.created_at)}, by {line(commitment.created_by)}",)
            ),
            Fact("Binding", (commitment.binding,), mono=True),
            Fact("Entry of the log", (f"No. {run.registration_index:,}",)),
            Fact("Certificate", (run.registration_digest,), mono=True),
        ),
        note="The hash of the owner’s secret, in the log before the suspect was asked. The binding "
        "was drawn after the commitment had come in.",
    )


def report_card(protection: Protection) -> Table:
    """What was measured when the protection was made, in single figures."""
    whole = protection.report_card or {}
    card = {name: value for name, value in whole.items() if isinstance(value, int | float)}
    known = [name for name in wording.REPORT_CARD if name in card]
    others = sorted(card.keys() - wording.REPORT_CARD.keys())
    version = protection.protected_version or protection.source
    return Table(
        f"{version}, {protection.get_kind_display().lower()}",
        tuple(
            Fact(wording.REPORT_CARD.get(name, name.replace("_", " ")), (measure(card[name]),))
            for name in (*known, *others)
        ),
        note=f"Measured {time(protection.job.finished_at)}: how many images the model classifies "
        "right.",
    )


def _checks(item: RunEvidence) -> Table:
    return Table(
        "Checked when this report was written",
        tuple(
            Fact(check.name.capitalize(), (check.detail,))
            for check in (item.checks.checks if item.checks else ())
        ),
        note="By the offline verifier that “How to check this without us” describes; all passed.",
    )


def _told(*facts: Fact) -> tuple[Fact, ...]:
    """The facts that have something to say."""
    return tuple(fact for fact in facts if any(fact.lines))
