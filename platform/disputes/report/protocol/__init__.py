"""The protocol's twelve demands, and how one run met each."""

from disputes.report.protocol.demands import DEMANDS, DOES_NOT_APPLY, MET, NOT_MET, Answer
from disputes.report.protocol.facts import Facts, protocol_facts
from disputes.report.protocol.judge import judge
from verification.models import Run

__all__ = [
    "DEMANDS",
    "DOES_NOT_APPLY",
    "MET",
    "NOT_MET",
    "Answer",
    "Facts",
    "judge",
    "protocol_facts",
    "protocol_of",
]


def protocol_of(run: Run) -> tuple[Answer, ...]:
    """How the run met each demand, from what is stored about it and signed."""
    return judge(protocol_facts(run))
