"""Gathering a report's content: the summary here, the runs in `sections`, the check in `steps`."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from django.db.models import Q

from disputes.models import Report
from disputes.report import wording
from disputes.report.answers import answer_tables, lodged_names
from disputes.report.content import Content, Demand, Fact, RunSection, Table
from disputes.report.evidence import RunEvidence
from disputes.report.figures import date, line, listed, odds, percent, share, time
from disputes.report.protocol import DEMANDS, protocol_of
from disputes.report.sections import outcome, report_card, run_line, run_section
from disputes.report.steps import check_steps, evidence_files, trusted_keys
from disputes.standing import case_standings, conclusion_of
from spellmark.evidence.verdicts import INDICATIVE
from verification.methods import limits
from verification.models import Run


def gather(report: Report, evidence: Sequence[RunEvidence]) -> Content:
    """The content of a report on these runs, in their order."""
    runs = [item.run for item in evidence]
    outside = _runs_outside(report, runs)
    sections = tuple(run_section(item) for item in evidence)
    outcomes = Counter(outcome(run) for run in runs)
    standings = case_standings(report.case)
    retests = list(report.case.retests.all())
    verdicts = [item.verdict for item in evidence if item.verdict]
    return Content(
        title=line(report.case.title),
        organisation=line(report.case.organisation.name),
        number=report.number,
        date=date(report.created_at),
        time=time(report.created_at),
        description=tuple(filter(None, map(line, report.case.description.splitlines()))),
        about=_about(report),
        outcomes=tuple((name, outcomes[name]) for name in wording.OUTCOMES if outcomes[name]),
        claimed=_claimed(report, runs),
        found=_found(outcomes),
        conclusion=conclusion_of(standings),
        answers=answer_tables(standings, retests, {item.run.id: item.number for item in evidence}),
        how_sure=_how_sure(sections, runs, outside),
        runs=sections,
        report_cards=_report_cards(runs),
        outside=tuple(run_line(run.id.hex[:8], run) for run in outside),
        evidence_classes=tuple(
            (name, wording.EVIDENCE_CLASSES.get(name, ""))
            for name in sorted({run.evidence_class for run in runs})
        ),
        # Those of the certificates as they were signed, without saying anything twice.
        limits=tuple(
            dict.fromkeys(
                chain(
                    *(limits(run.method) for run in runs), *(verdict.limits for verdict in verdicts)
                )
            )
        ),
        demands=_demands(evidence),
        protocol=wording.PROTOCOL,
        steps=check_steps(report, evidence),
        trusted=trusted_keys(),
        files=(*evidence_files(evidence), *lodged_names(standings)),
        glossary=wording.GLOSSARY,
    )


def _about(report: Report) -> Table:
    case = report.case
    return Table(
        "About this report",
        (
            Fact("Organisation", (line(case.organisation.name),)),
            Fact("Report", (f"No. {report.number} on this case",)),
            Fact("Date", (time(report.created_at),)),
            Fact("Prepared by", (line(report.created_by),)),
            Fact("Case opened", (f"{time(case.created_at)}, by {line(case.created_by)}",)),
            Fact("Case id", (str(case.id),), mono=True),
            Fact("Report id", (str(report.id),), mono=True),
        ),
    )


def _runs_outside(report: Report, runs: Sequence[Run]) -> list[Run]:
    """What else the owner had tried by then, with the same protections or on the same suspects.

    A match says little where the tries that found none are left out of the case.
    """
    urls = {run.suspect.config.get("url") for run in runs} - {None}
    digests = {run.suspect.sha256 for run in runs} - {""}
    related = (
        Q(protection__in={run.protection_id for run in runs} - {None})
        | Q(version__in={run.version_id for run in runs} - {None})
        | Q(suspect__in={run.suspect_id for run in runs})
        | Q(suspect__config__url__in=urls)
        | Q(suspect__sha256__in=digests)
    )
    return list(
        Run.objects.filter(
            related, organisation=report.case.organisation, created_at__lt=report.created_at
        )
        .exclude(id__in=[run.id for run in runs])
        .select_related("suspect", "job")
        .order_by("created_at", "id")
    )


def _report_cards(runs: Sequence[Run]) -> tuple[Table, ...]:
    """What each protection is worth; runs mostly share one."""
    protections = {run.protection_id: run.protection for run in runs if run.protection}
    return tuple(filter(lambda card: card.facts, map(report_card, protections.values())))


def _demands(evidence: Sequence[RunEvidence]) -> tuple[Demand, ...]:
    """Each demand once, and under it the runs that met it in the same way."""
    judged = {item.number: protocol_of(item.run) for item in evidence}
    demands = []
    for place, sentence in enumerate(DEMANDS):
        told: dict[tuple[str, str], list[str]] = {}
        for number, answers in judged.items():
            answer = answers[place]
            told.setdefault((answer.state, answer.how), []).append(str(number))
        demands.append(
            Demand(
                place + 1,
                sentence,
                tuple(
                    (f"Run{'s' if numbers[1:] else ''} {listed(numbers)}", state, line(how))
                    for (state, how), numbers in told.items()
                ),
            )
        )
    return tuple(demands)


def _claimed(report: Report, runs: Sequence[Run]) -> str:
    suspects = list(dict.fromkeys(f"“{line(run.suspect.name)}”" for run in runs))
    models = list(dict.fromkeys(str(run.owners) for run in runs))
    who = (
        f"suspects {listed(suspects)} depend" if suspects[1:] else f"suspect {suspects[0]} depends"
    )
    model = f"models {listed(models)}" if models[1:] else f"model {models[0]}"
    protected = ", which it had protected under a secret key"
    return (
        f"{line(report.case.organisation.name)} claims that the {who} on its {model}"
        f"{protected if all(run.protection for run in runs) else ''}."
    )


def _whose(run: Run) -> str:
    if run.evidence_class == INDICATIVE:
        return "a model that is as independent as those of the null pool (a lead, not a proof)"
    return "a model that never met the protection"


def _found(outcomes: Counter[str]) -> str:
    total = outcomes.total()
    runs = "one run" if total == 1 else f"{total} runs"
    parts = [f"{outcomes[name]} {name}" for name in wording.OUTCOMES if outcomes[name]]
    return f"The case has {runs}: {listed(parts)}."


def _how_sure(
    sections: Sequence[RunSection], runs: Sequence[Run], outside: Sequence[Run]
) -> tuple[str, ...]:
    words = [
        f"Run {section.line.number}: {_whose(run)} shows a result like this with a probability of "
        f"at most {share(run.p_value)}, that is {odds(run.p_value)}."
        for section, run in zip(sections, runs, strict=True)
        if outcome(run) == "match" and run.p_value
    ]
    if words:
        words.append(
            "That is not the probability that the suspect is innocent: that depends also on "
            "everything else that is known about the suspect."
        )
    else:
        words.append("No run ended in a match, so this report gives no ground for an accusation.")
    tries = [*runs, *outside]
    if len(tries) > 1:
        together = min(1.0, sum(run.rule["alpha"] for run in tries))
        counted = f"Over all {len(tries)} runs listed in this report"
        words.append(
            "Each run had a false-positive rate that was fixed before its first query. "
            f"{counted}, the chance that even one innocent suspect is called a match is at most "
            f"{percent(together)}."
        )
    return tuple(words)
