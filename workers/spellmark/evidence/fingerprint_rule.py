"""The decision rule of a run by fingerprint: fixed, with its pool, before the suspect is asked.

Fingerprints are *indicative*: they recognise a copy without a secret, so nothing about them is
random but the pool, and they never prove anything by themselves. The standard library alone:
outsiders redo it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spellmark.errors import SpellmarkError
from spellmark.evidence.fingerprint_scores import COSINE, KERNELS
from spellmark.evidence.null_pool import (
    KINDS,
    SAME_ARCHITECTURE,
    TRAINED,
    Ranking,
    Scored,
    rank,
)
from spellmark.evidence.random_key_test import others_needed, smallest_p
from spellmark.evidence.verdicts import INCONCLUSIVE, MATCH, NO_MATCH

AGREEMENT, CORRELATION, WEIGHTS = FINGERPRINTS = ("agreement", "correlation", "weights")
# These need the key of an external feature, and are ranked in the same pool all the same.
FEATURE, FEATURE_GRADIENTS = FEATURES = ("external-feature", "external-feature-gradients")
RANKED = (*FINGERPRINTS, *FEATURES)
# For these the suspect is asked nothing: its file is looked into.
UNASKED = (WEIGHTS, FEATURE_GRADIENTS)

WRONG, MIXED, JPEG = PROBES = ("wrong", "mixed", "jpeg")

MOST_ALPHA = 0.05
# Of each kind that an innocent suspect might be of, so many can show p = 0.05.
LEAST_OF_A_KIND = 19
LEAST_PROBES = 20
# An external feature's image is asked plain, in the style, and in a wrong style.
FEATURE_QUESTIONS = 3
# Whoever is right on fewer of them, plain or in the style, bears no style: he knows nothing.
LEAST_RIGHT = 0.5
# An owner's model that is right less often than so many times chance knows too little to claim.
LEAST_OVER_CHANCE = 3


def least_accuracy(classes: int) -> float:
    """How often an owner's model has to be right before a suspect is ranked beside it, in (0, 1).

    Of few classes three times chance is out of reach: there it is halfway from chance to certainty.
    """
    return min(LEAST_OVER_CHANCE / classes, (1 + 1 / classes) / 2)


class FingerprintRuleError(SpellmarkError):
    """A rule under which no run could end in a match."""


@dataclass(frozen=True, kw_only=True)
class FingerprintRule:
    """When a run by fingerprint is a match.

    method: one of RANKED. alpha: the registered false-positive rate. pool_sha256: of the null
    pool (see `null_pool.digest`), of_a_kind: how many of each kind in it the platform trained and
    can compare, at the least.
    margin: see `threshold_of`. probes: images asked about, and minimum_probes: how many must be
    answered; none for weights. variant: one of PROBES. kernel: of correlations, one of KERNELS.
    classes: the owner's.

    Raises FingerprintRuleError.
    """

    method: str
    alpha: float = MOST_ALPHA
    of_a_kind: int
    pool_sha256: str
    margin: float = 1.0
    probes: int = 400
    minimum_probes: int = LEAST_PROBES
    variant: str = WRONG
    kernel: str = COSINE
    classes: int

    def __post_init__(self) -> None:
        if self.method not in RANKED:
            raise FingerprintRuleError(
                f"There is no fingerprint “{self.method}”.",
                hint=f"Choose one of {', '.join(RANKED)}.",
            )
        if self.variant not in PROBES or self.kernel not in KERNELS:
            raise FingerprintRuleError(
                f"There are no {self.variant} probes under the {self.kernel} kernel.",
                hint=f"Choose probes of {', '.join(PROBES)} and one of {', '.join(KERNELS)}.",
            )
        if self.method == AGREEMENT and self.variant != WRONG:
            raise FingerprintRuleError(
                "Agreement is measured on the owner's own mistakes.",
                hint="Leave the probes open, or choose the correlation.",
            )
        if self.method != WEIGHTS and not LEAST_PROBES <= self.minimum_probes <= self.probes:
            raise FingerprintRuleError(
                f"{self.minimum_probes} of {self.probes} probes cannot be required.",
                hint=f"Require at least {LEAST_PROBES} probes and at most all of them.",
            )
        if not 0 < self.alpha <= MOST_ALPHA:
            raise FingerprintRuleError(
                f"A false-positive rate of {self.alpha} is not accepted.",
                hint=f"Choose alpha above 0 and at most {MOST_ALPHA}.",
            )
        if self.margin < 0:
            raise FingerprintRuleError(
                "The margin of the threshold is below zero.", hint="Choose zero or more."
            )
        self._check_pool()

    def check_kinds(self, pool: Iterable[Scored]) -> None:
        """Raise ValueError for a pool with fewer of a kind than the rule tells of.

        Of weights a kind that has none of the owner's architecture has no say, but for the closest.
        """
        trained = [one for one in pool if one.reference.source == TRAINED]
        kinds = set(KINDS)
        if self.method == WEIGHTS:
            trained = [one for one in trained if one.score is not None]
            kinds = {SAME_ARCHITECTURE, *(one.reference.kind for one in trained)}
        counts = Counter(one.reference.kind for one in trained)
        if min(counts[kind] for kind in kinds) < self.of_a_kind:
            raise ValueError("the pool has fewer models of a kind than the rule tells of")

    @property
    def query_cap(self) -> int:
        """The most requests that may be sent: one image each."""
        if self.method in UNASKED:
            return 0
        return self.probes * (FEATURE_QUESTIONS if self.method == FEATURE else 1)

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that a run can show."""
        return smallest_p(self.of_a_kind)

    def _check_pool(self) -> None:
        needed = max(LEAST_OF_A_KIND, others_needed(self.alpha))
        if self.of_a_kind < needed:
            what = "of its architecture " if self.method == WEIGHTS else ""
            raise FingerprintRuleError(
                f"The null pool holds {self.of_a_kind} models {what}of a kind that the platform "
                f"trained, and this rule needs {needed} of each.",
                hint="Grow the pool, then start the run."
                if self.of_a_kind < LEAST_OF_A_KIND
                else "Grow the pool, or choose a larger alpha.",
            )


@dataclass(frozen=True)
class FingerprintOutcome:
    """What a run found.

    score: of the suspect, higher for closer; None where it cannot be told. ranking: in the pool.
    answered: probes. access: what the suspect showed. classes_seen: that it named. control: of an
    external feature, where the same suspect stands under a wrong style. By answers that should be
    anywhere; by gradients a copy stands out in any style. right: of an external feature by answers,
    the share of images that the suspect gets right, plain or in the style, the smaller of the two.
    """

    score: float | None
    ranking: Ranking | None
    answered: int
    access: str
    classes_seen: int
    control: Ranking | None = None
    right: float = 1.0

    @property
    def statistic(self) -> float | None:
        """The score, as certificates call it."""
        return self.score

    @property
    def p_value(self) -> float | None:
        """The rank in the pool; it holds for suspects as independent as the models of any kind."""
        return self.ranking.p_value if self.ranking else None


@dataclass(frozen=True)
class FingerprintDecision:
    """The verdict, and why."""

    verdict: str
    reason: str
    outcome: FingerprintOutcome


def decide(
    rule: FingerprintRule,
    score: float | None,
    pool: Sequence[Scored],
    *,
    answered: int = 0,
    access: str = "weights",
    classes_seen: int = 0,
    control: tuple[float, Sequence[Scored]] | None = None,
    right: float = 1.0,
) -> FingerprintDecision:
    """The verdict on a suspect's score; None for one that cannot be compared.

    control, right: of an external feature, the suspect's score under a wrong style and the pool's,
    and see FingerprintOutcome.
    """
    comparable = any(one.score is not None and one.half == "calibrate" for one in pool)
    ranking = None
    if score is not None and comparable:
        ranking = rank(score, pool, margin=rule.margin)
        score = ranking.score
    wrong = rank(*control, margin=rule.margin) if control else None
    outcome = FingerprintOutcome(score, ranking, answered, access, classes_seen, wrong, right)
    return FingerprintDecision(*_verdict(rule, outcome), outcome)


def _verdict(rule: FingerprintRule, outcome: FingerprintOutcome) -> tuple[str, str]:
    asks, ranking = rule.method not in UNASKED, outcome.ranking
    if asks and outcome.answered < rule.minimum_probes:
        return INCONCLUSIVE, (
            f"Only {outcome.answered} of {rule.probes} probes were answered; the rule asks for "
            f"{rule.minimum_probes}."
        )
    if asks and outcome.classes_seen < 2:
        return INCONCLUSIVE, "The suspect gave the same class to every probe."
    if outcome.score is None or ranking is None:
        return INCONCLUSIVE, (
            "The suspect is of another architecture than the owner's model, so their weights "
            "cannot be compared."
        )
    if ranking.void:
        number = len(ranking.accused)
        who = (
            "an innocent reference model" if number == 1 else f"{number} innocent reference models"
        )
        return INCONCLUSIVE, (
            f"Void: at its threshold of {ranking.threshold:.3f} the method accuses {who} of the "
            "null pool, so it may accuse nobody."
        )
    closer = f"{ranking.at_or_above} of {ranking.models} innocent reference models come as close"
    if ranking.p_value > rule.alpha:
        return NO_MATCH, (
            f"{closer} to the owner's model as the suspect (p = {ranking.p_value:.2g}, above alpha "
            f"= {rule.alpha:g})."
        )
    if not ranking.score > ranking.threshold:
        return INCONCLUSIVE, (
            f"The suspect's score of {ranking.score:.3f} is closer than those of the pool, but not "
            f"above the threshold of {ranking.threshold:.3f}, which keeps a distance from them."
        )
    control = outcome.control
    if outcome.right < LEAST_RIGHT:
        return INCONCLUSIVE, (
            f"The suspect is right on {outcome.right:.0%} of the images, as they are or in the "
            f"style; the rule asks for {LEAST_RIGHT:.0%} of both. Who knows little loses little "
            "in any style."
        )
    if rule.method == FEATURE and control and _bears_any(rule, ranking, control):
        return INCONCLUSIVE, (
            f"Under a wrong style, too, the suspect stands out ({control.score:.3f}, p = "
            f"{control.p_value:.2g}): it bears styles in general, and not the owner's alone."
        )
    if rule.method in FEATURES:
        return MATCH, _feature_match(rule, ranking, control)
    return MATCH, (
        f"The suspect comes closer to the owner's model ({ranking.score:.3f}) than the threshold "
        f"of {ranking.threshold:.3f} allows to independent models: {closer} "
        f"(p = {ranking.p_value:.2g}, not above alpha = {rule.alpha:g}). This is an indication, "
        "not a proof."
    )


def _bears_any(rule: FingerprintRule, ranking: Ranking, control: Ranking) -> bool:
    """Whether the suspect stands out in the wrong style, half as far as in the owner's or more.

    Not whether it stands out at all: who learnt one style bears those that are near it somewhat.
    """
    return (
        _stands_out(rule, control)
        and 2 * (control.score - control.threshold) >= ranking.score - ranking.threshold
    )


def _stands_out(rule: FingerprintRule, ranking: Ranking) -> bool:
    return ranking.p_value <= rule.alpha and ranking.score > ranking.threshold


def _feature_match(rule: FingerprintRule, ranking: Ranking, control: Ranking | None) -> str:
    rank_told = (
        f"its score of {ranking.score:.3f} is above the threshold of {ranking.threshold:.3f}, and "
        f"{ranking.at_or_above} of {ranking.models} innocent reference models come as close (p = "
        f"{ranking.p_value:.2g}, not above alpha = {rule.alpha:g}). This is an indication, not a "
        "proof."
    )
    if rule.method == FEATURE:
        return f"The suspect bears the owner's secret style as no innocent model does: {rank_told}"
    told = f"In the owner's style the suspect's gradients lean as the owner's do: {rank_told}"
    if control and _stands_out(rule, control):
        # A copy's do in every style: they show that it is a copy, not that it knows the style.
        told += " They do so in a wrong style as well, so it is the model that they show."
    return told
