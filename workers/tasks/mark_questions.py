"""What a guard's suspects are asked: the same in a run and in a rehearsed theft."""

import numpy as np
import numpy.typing as npt

from protection.models import Protection
from registry import storage
from spellmark.training import weights
from spellmark.training.inference import predict_probabilities
from spellmark.watermarks.dynamic.examine import Questions, choose_questions
from spellmark.watermarks.dynamic.guard import Thresholds
from spellmark.watermarks.dynamic.mark_key import MarkKey
from tasks.lock import model_path


def questions_of(
    guard: Protection, key: MarkKey, images: npt.NDArray[np.uint8], *, seed: bytes, wanted: int
) -> Questions:
    """Questions from these images, with what the owner's model and its clean copies say."""
    model, card = weights.load(model_path(guard.source))
    copies = [weights.load(storage.path_of(digest)) for digest in guard.settings["references"]]
    return choose_questions(
        key,
        thresholds_of(guard),
        predict_probabilities(model, card, images),
        images,
        seed=seed,
        wanted=wanted,
        others=[predict_probabilities(*copy, images) for copy in copies],
    )


def thresholds_of(guard: Protection) -> Thresholds | None:
    """Where the guard's cells are cut."""
    cuts = guard.settings["thresholds"]
    return None if cuts is None else np.array(cuts, np.float64)
