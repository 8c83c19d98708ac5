"""Scores of many models at once, as runs and their null pools need them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spellmark.evidence.answer_access import Access
from spellmark.evidence.fingerprint_rule import AGREEMENT, FingerprintRule
from spellmark.evidence.fingerprint_scores import shows_probabilities
from spellmark.fingerprints.agreement import agreement
from spellmark.fingerprints.correlation import Kernel, compare, label_rows, matrix

Answers = npt.NDArray[np.float64]


def score_all(
    rule: FingerprintRule, owner: Answers, models: Sequence[Answers], access: Access
) -> list[float]:
    """The score of each model, higher for closer, as a suspect of this access would get it.

    owner, models: probabilities, float64 (n, classes), for the same n probes; the classes of a
    model may differ under the correlation.
    """
    ours = as_shown(owner, access)
    if rule.method == AGREEMENT:
        labels = ours.argmax(1)
        return [agreement(labels, as_shown(one, access).argmax(1)) for one in models]
    kernel: Kernel = "rbf" if rule.kernel == "rbf" else "cosine"
    relations = matrix(ours, kernel)
    return [compare(relations, as_shown(one, access), kernel) for one in models]


def as_shown(answers: Answers, access: Access) -> Answers:
    """Answers as somebody shows them who shows no more than this."""
    if not shows_probabilities(access):
        return label_rows(answers.argmax(1), answers.shape[1])
    return answers if access.decimals is None else _rounded(answers, access.decimals)


def _rounded(answers: Answers, decimals: int) -> Answers:
    """As Python rounds: NumPy scales first, and some halves come out on the other side."""
    found = answers.round(decimals)
    near_half = np.abs(answers * 10.0**decimals % 1 - 0.5) < 1e-6
    found[near_half] = [round(value, decimals) for value in answers[near_half].tolist()]
    return found
