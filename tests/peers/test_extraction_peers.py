"""Thieves whose programs are not ours, against a guarded prediction API."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from art.attacks.extraction import CopycatCNN, KnockoffNets
from art.estimators.classification import BlackBoxClassifier, PyTorchClassifier

from demo.people import CARD
from demo.served import served
from spellmark.evidence.mark_rule import MarkDecision, MarkRule
from spellmark.evidence.verdicts import INCONCLUSIVE, MATCH, NO_MATCH
from spellmark.secrets import KeyFile
from spellmark.training import architectures, datasets, weights
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_probabilities
from spellmark.watermarks.dynamic import SCHEME, GuardFile, MarkKey, MarkParameters
from spellmark.watermarks.dynamic.examine import Questions, choose_questions, examine

pytestmark = [pytest.mark.peer, pytest.mark.slow]

PARAMETERS = MarkParameters(classes=10, strength=100)
OWNED, STOLEN, EPOCHS = 4000, 3000, 10
RULE = MarkRule(classes=10, strength=PARAMETERS.strength, probes=256)

ATTACKS = {
    "knockoff": lambda victim, soft: KnockoffNets(
        victim, 64, 500, EPOCHS, STOLEN, verbose=False, use_probability=soft
    ),
    "copycat": lambda victim, soft: CopycatCNN(
        victim, 64, 500, EPOCHS, STOLEN, use_probability=soft
    ),
}


class ThiefsNet(torch.nn.Module):
    """Another network than the owner's. It takes pixels from 0 to 255, as the API does."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 5, stride=2, padding=2),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 32, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(32 * 7 * 7, 10),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers(pixels / 255 - 0.3)


@dataclass(frozen=True)
class Api:
    """A guarded API, and what its owner alone knows of it."""

    url: str
    key: MarkKey
    questions: Questions

    def ask(self, pixels: np.ndarray) -> np.ndarray:
        tensor = {
            "name": "input",
            "shape": list(pixels.shape),
            "datatype": "UINT8",
            "data": pixels.astype(np.uint8).ravel().tolist(),
        }
        response = httpx.post(self.url, json={"inputs": [tensor]}, timeout=60)
        output = response.raise_for_status().json()["outputs"][0]
        return np.array(output["data"]).reshape(output["shape"])

    def verdict(self, suspect: Callable[[np.ndarray], np.ndarray]) -> MarkDecision:
        return examine(suspect, self.questions, RULE, {"": self.key})


@pytest.fixture(scope="module")
def api(tmp_path_factory) -> Iterator[Api]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    data = datasets.load("fashion-mnist")
    torch.manual_seed(0)
    owner = fit(
        architectures.build(CARD), CARD, data.train[:OWNED], Recipe(epochs=3, learning_rate=3e-3)
    )
    weights.save(owner, CARD, folder / "owner.safetensors")
    file = KeyFile(SCHEME, PARAMETERS.as_dict(), bytes(range(32)), bytes(32))
    GuardFile(key=file, decimals=6).save(folder / "guard.json")
    key, images = MarkKey.open(file), data.test.images[:2000]
    reference = predict_probabilities(owner, CARD, images)
    questions = choose_questions(key, None, reference, images, seed=bytes(32), wanted=RULE.probes)
    guard = {"SPELLMARK_GUARD": str(folder / "guard.json")}
    weights_file = str(folder / "owner.safetensors")
    with served("demo.serve", weights_file, log=folder / "log", **guard) as url:
        yield Api(f"{url}/v2/models/classifier/infer", key, questions)


def steal(attack: str, api: Api, *, soft: bool) -> Callable[[np.ndarray], np.ndarray]:
    """What the thief's copy answers, made from images that the owner did not train on."""
    np.random.seed(1)
    torch.manual_seed(1)
    shape = (CARD.channels, CARD.height, CARD.width)
    victim = BlackBoxClassifier(api.ask, shape, CARD.classes, clip_values=(0, 255))
    model = ThiefsNet()
    copy = PyTorchClassifier(
        model, torch.nn.CrossEntropyLoss(), shape, CARD.classes,
        torch.optim.Adam(model.parameters(), 2e-3), device_type="cpu",
    )  # fmt: skip
    pool = datasets.load("fashion-mnist").train[OWNED : OWNED + STOLEN].images
    made = ATTACKS[attack](victim, soft).extract(pool, thieved_classifier=copy)

    def answer(images: np.ndarray) -> np.ndarray:
        logits = made.predict(images.astype(np.float32))
        return torch.softmax(torch.from_numpy(logits).double(), 1).numpy()

    return answer


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_copy_made_from_probabilities_carries_the_mark(attack, api):
    found = api.verdict(steal(attack, api, soft=True))
    assert found.verdict == MATCH, found.reason


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_copy_made_from_labels_carries_none(attack, api):
    copy = steal(attack, api, soft=False)
    found = api.verdict(copy)
    assert found.verdict == NO_MATCH, found.reason
    told = api.verdict(lambda images: np.eye(CARD.classes)[copy(images).argmax(1)])
    assert told.verdict == INCONCLUSIVE, told.reason
