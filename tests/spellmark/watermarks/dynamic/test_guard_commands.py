"""The commands as people type them."""

import json
import stat
from pathlib import Path

import numpy as np
import pytest

from spellmark.cli import main
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import weights
from spellmark.training.architectures import build
from spellmark.watermarks.dynamic import SCHEME, GuardFile

KEYGEN = ["--scheme", "dynamic-watermark"]


@pytest.fixture
def key(tmp_path: Path, capsys) -> str:
    path = tmp_path / "owner.spellkey"
    assert main(["keygen", str(path), *KEYGEN, "--classes", "10"]) == 0
    assert "Keep it safe" in capsys.readouterr().out
    return str(path)


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    """A small model with three classes, and data for it."""
    card = ModelCard(architecture="small-cnn", classes=3, channels=1, height=8, width=8)
    weights.save(build(card), card, tmp_path / "model.safetensors")
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    labels = np.arange(60) % 3
    np.savez(
        tmp_path / "data.npz",
        train_images=images, train_labels=labels, test_images=images, test_labels=labels,
    )  # fmt: skip
    return ["--model", str(tmp_path / "model.safetensors"), "--data", str(tmp_path / "data.npz")]


def test_it_makes_a_key_and_commits_to_it(key, capsys):
    assert main(["commit", key]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "digest": KeyFile.load(Path(key)).commitment(),
        "scheme": SCHEME,
        "parameters": {"classes": 10, "strength": 50, "cells": 1, "label_margin": 0},
    }


def test_a_key_takes_its_classes_from_the_model_and_its_mark_from_the_options(tmp_path, model):
    path = tmp_path / "owner.spellkey"
    given = ["--strength", "80", "--cells", "4", "--label-margin", "50"]
    assert main(["keygen", str(path), *KEYGEN, *model[:2], *given]) == 0
    assert dict(KeyFile.load(path).parameters) == {
        "classes": 3, "strength": 80, "cells": 4, "label_margin": 50,
    }  # fmt: skip


def test_a_key_needs_classes_and_a_mark_that_makes_sense(tmp_path, capsys):
    path = tmp_path / "owner.spellkey"
    assert main(["keygen", str(path), *KEYGEN]) == 2
    assert "number of classes is not known" in capsys.readouterr().err
    assert main(["keygen", str(path), *KEYGEN, "--classes", "10", "--cells", "3"]) == 2
    assert "power of two" in capsys.readouterr().err
    assert not path.exists()


def test_it_makes_a_guard_file(tmp_path, key, capsys):
    path = tmp_path / "guard.json"
    given = ["--binding", "00ff", "--decimals", "4", "--top-k", "5", "--valid-until", "2030-01-31"]
    clients = ["--client", "acme=0aff", "--client", "globex"]
    assert main(["guard", "new", key, *given, *clients, "-o", str(path)]) == 0
    assert "as secret as the key file" in capsys.readouterr().out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert GuardFile.load(path).clients == {"acme": b"\x0a\xff", "globex": b""}
    guard = GuardFile.load(path).guard("acme")
    assert (guard.decimals, guard.top_k, guard.key.client) == (4, 5, "acme")
    assert main(["guard", "show", str(path)]) == 0
    said = capsys.readouterr().out
    told = json.loads(said)
    assert told["digest"] == KeyFile.load(Path(key)).commitment()
    assert (told["binding"], told["valid_until"]) == ("00ff", "2030-01-31")
    assert told["clients"]["acme"] == guard.key.commitment()
    assert len(set(told["clients"].values())) == 3
    assert json.loads(path.read_text())["key"]["secret"] not in said
    assert main(["guard", "new", key, "-o", str(path)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_cells_are_cut_with_a_model_and_its_data(tmp_path, model, capsys):
    key, path = str(tmp_path / "owner.spellkey"), tmp_path / "guard.json"
    assert main(["keygen", key, *KEYGEN, "--classes", "3"]) == 0
    assert main(["guard", "new", key, "-o", str(path)]) == 2
    assert "into 16 cells" in capsys.readouterr().err
    assert main(["guard", "new", key, *model, "-o", str(path)]) == 0
    thresholds = GuardFile.load(path).thresholds
    assert thresholds is not None
    assert thresholds.shape == (3, 4)


def test_a_guard_needs_a_key_that_fits(tmp_path, model, key, capsys):
    output = ["-o", str(tmp_path / "guard.json")]
    assert main(["guard", "new", key, "--binding", "secret", *output]) == 2
    assert "not written in hex" in capsys.readouterr().err
    assert main(["guard", "new", key, "--decimals", "99", *output]) == 2
    assert "from 0 to 15" in capsys.readouterr().err
    other = str(tmp_path / "lock.spellkey")
    main(["keygen", other, "--height", "28", "--width", "28"])
    assert main(["guard", "new", other, *output]) == 2
    assert "not for a guard" in capsys.readouterr().err
    many = str(tmp_path / "many.spellkey")
    main(["keygen", many, *KEYGEN, "--classes", "10", "--cells", "2"])
    assert main(["guard", "new", many, *model, *output]) == 2
    assert "The model has 3 classes" in capsys.readouterr().err
    assert not Path(output[1]).exists()
