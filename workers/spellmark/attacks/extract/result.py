"""What a theft reached, and what the owner's test makes of the copy."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from spellmark.attacks.attack import Answer


class Decision(Protocol):
    """What the owner's test tells of a suspect, as `watermarks.dynamic.examine` does."""

    @property
    def verdict(self) -> str:
        """`match`, `no match` or `inconclusive`."""

    @property
    def reason(self) -> str:
        """Why, in words."""

    @property
    def p_value(self) -> float | None:
        """How likely an innocent model would look as guilty; None where nothing was tested."""

    @property
    def queries(self) -> int:
        """Questions asked until the decision."""

    @property
    def access(self) -> object:
        """How much the suspect's answers show; its text is what people read."""

    @property
    def client(self) -> str | None:
        """Whose key was found, where clients have keys of their own."""


Examine = Callable[[Answer], Decision]


@dataclass(frozen=True)
class TheftResult:
    """What came of a theft, ready for JSON.

    architecture: of the copy. queries: images that the API answered the thief. accuracy: of the
    copy, in [0, 1], on held-out images. agreement: the share of those for which it gives the
    guarded API's own label. seconds: of processor time, all threads together, from the first query
    to the finished copy. verdict, p_value, questions, access: of the owner's test, which has asked
    the copy so many questions and found its answers to show so much.
    """

    name: str
    architecture: str
    queries: int
    accuracy: float
    agreement: float
    seconds: float
    verdict: str
    p_value: float | None
    questions: int
    access: str
    details: dict[str, Any] = field(default_factory=dict)
