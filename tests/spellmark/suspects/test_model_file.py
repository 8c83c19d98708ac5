import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

from spellmark.model_files.card import ModelCard, ModelCardError
from spellmark.model_files.errors import ModelFileError
from spellmark.suspects.base import Response, SuspectConfigError, SuspectError
from spellmark.suspects.model_file import ModelFile
from spellmark.training.architectures import build
from spellmark.training.inference import predict_probabilities
from spellmark.training.weights import save

CARD = ModelCard(architecture="small-cnn", classes=4, channels=1, height=8, width=8)
IMAGES = np.random.default_rng(1).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(1)
    return build(CARD).eval()


@pytest.fixture(scope="module")
def path(model: torch.nn.Module, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("suspects") / "copy.safetensors"
    save(model, CARD, path)
    return path


def test_it_answers_with_the_models_probabilities(model: torch.nn.Module, path: Path):
    suspect = ModelFile(path)
    response = suspect.send(suspect.prepare(IMAGES))
    answer = suspect.read(response, len(IMAGES))

    assert answer.level == "probabilities"
    assert answer.probabilities is not None
    np.testing.assert_allclose(
        answer.probabilities, predict_probabilities(model, CARD, IMAGES), rtol=1e-5
    )
    assert (answer.labels == answer.probabilities.argmax(1)).all()
    assert (response.status, response.tls_certificate_sha256) == (200, None)
    assert response.seconds > 0


def test_it_gives_the_same_bytes_for_the_same_images(path: Path):
    suspect = ModelFile(path)
    first, second = suspect.prepare(IMAGES), suspect.prepare(np.asfortranarray(IMAGES))
    assert first == second
    assert first.sha256 == hashlib.sha256(IMAGES.tobytes()).hexdigest()
    assert suspect.send(first).body == suspect.send(second).body


def test_it_answers_again_after_it_was_closed(path: Path):
    suspect = ModelFile(path)
    request = suspect.prepare(IMAGES)
    body = suspect.send(request).body
    suspect.close()
    assert suspect.send(request).body == body


def test_its_description_names_the_file_by_its_digest(path: Path):
    description = ModelFile(path).describe()
    assert json.loads(json.dumps(description)) == {
        "kind": "model-file",
        "protocol": "model-file",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "architecture": "small-cnn",
        "classes": 4,
    }
    assert str(path) not in str(description)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 3, 8, 8), np.uint8),
        np.zeros((1, 1, 8, 9), np.uint8),
        np.zeros((1, 8, 8), np.uint8),
        np.zeros((0, 1, 8, 8), np.uint8),
        np.zeros((1, 1, 8, 8), np.float64),
    ],
)
def test_it_refuses_images_that_do_not_fit(path: Path, images):
    with pytest.raises(SuspectConfigError):
        ModelFile(path).prepare(images)


def test_it_refuses_a_file_without_a_card(tmp_path: Path):
    save_file({"w": torch.zeros(1)}, tmp_path / "m")
    with pytest.raises(ModelCardError):
        ModelFile(tmp_path / "m")


def test_it_refuses_a_file_that_is_no_model(tmp_path: Path):
    torch.save({"w": torch.zeros(1)}, tmp_path / "m.safetensors")
    with pytest.raises(ModelFileError, match="a PyTorch file"):
        ModelFile(tmp_path / "m.safetensors")


def test_it_says_what_to_do_with_onnx(tmp_path: Path):
    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    model = helper.make_model(helper.make_graph([], "g", [port], [port]))
    (tmp_path / "m").write_bytes(model.SerializeToString())
    with pytest.raises(SuspectConfigError, match="ONNX cannot be asked here") as caught:
        ModelFile(tmp_path / "m")
    assert "HTTP endpoint" in caught.value.hint


@pytest.mark.parametrize("length", [0, 8, 5 * 4 * 8 - 1, 6 * 4 * 8])
def test_it_refuses_an_answer_of_the_wrong_length(path: Path, length: int):
    with pytest.raises(SuspectError) as caught:
        ModelFile(path).read(Response(200, bytes(length), 0.1), 5)
    assert caught.value.kind == "bad-answer"


def test_it_refuses_an_answer_that_is_not_finite(path: Path):
    body = np.full((5, 4), np.nan).tobytes()
    with pytest.raises(SuspectError, match="not finite") as caught:
        ModelFile(path).read(Response(200, body, 0.1), 5)
    assert caught.value.kind == "bad-answer"
