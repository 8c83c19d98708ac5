"""The twelve demands in plain sentences."""

from dataclasses import dataclass

MET, NOT_MET, DOES_NOT_APPLY = "met", "not met", "does not apply"

DEMANDS = (
    "The owner’s model and secret were committed to before the suspect was asked, somebody outside "
    "vouches for the time, and no registration of the accused is earlier.",
    "What is asked, and which answers count, follow from the committed secret and from values that "
    "were drawn after it: nobody chose them.",
    "The questions were made again from the opened secret, and are those that were registered.",
    "Inputs that were searched for or optimised never give more than a lead.",
    "The same test was put to at least 30 independent models; if it accuses one, the claim is "
    "void.",
    "The threshold is set by what chance does, and corrected for everything that the owner tried.",
    "The owner’s own model passes the test and does its task, and the suspect does the same task.",
    "Some of the questions are kept back for other disputes, and none is used twice.",
    "The accused can answer: see the figures, lodge an earlier registration, ask for a new test.",
    "The suspect is bound to its answers, by the digest of its file or by a signed transcript.",
    "The verdict has three states and comes with its p-value, its rate of false matches, the "
    "queries, what could be seen, and its limits.",
    "Registration and verdict stand in an append-only log, and trying again has a price.",
)


@dataclass(frozen=True)
class Answer:
    """How a run met one demand: `state` is one of met, not met, does not apply; `how` says why."""

    number: int
    state: str
    how: str

    @property
    def demand(self) -> str:
        """What is demanded."""
        return DEMANDS[self.number - 1]
