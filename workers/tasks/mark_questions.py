"""What a guard's suspects are asked: the same in a run and in a rehearsed theft."""

import numpy as np
import numpy.typing as npt

from protection.guards import opened_guard
from protection.models import Protection
from registry import storage
from spellmark.secrets import KeyFile
from spellmark.training import weights
from spellmark.training.inference import predict_probabilities
from spellmark.watermarks.dynamic.examine import Questions, choose_questions
from spellmark.watermarks.dynamic.guard import Thresholds
from spellmark.watermarks.dynamic.mark_key import MarkKey
from tasks.lock import model_path


def keys_of(guard: Protection, file: KeyFile, count: int) -> dict[str, MarkKey]:
    """So many keys of the guard: its own, and those of its clients in the order they came."""
    clients = guard.clients.order_by("created_at").values_list("name", "binding")
    return {
        name: opened_guard(guard, file, client=name, client_binding=binding)
        for name, binding in (("", ""), *clients[: count - 1])
    }


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
