"""Our comparison of weights beside modeldna's, on the same files: those of language models.

modeldna looks for attention, MLPs and norms of language models by their names. Of our own files it
finds no layer, so it has nothing to say of them.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from modeldna.scan import compare_pair
from transformers import LlamaConfig, LlamaForCausalLM

from spellmark.fingerprints.weights import (
    COPY,
    FINE_TUNED,
    INDEPENDENT,
    WeightComparison,
    compare_weights,
    read_tensors,
)
from spellmark.model_files.card import ModelCard
from spellmark.training import weights
from spellmark.training.architectures import fresh

pytestmark = [pytest.mark.peer, pytest.mark.slow]

CONFIG = LlamaConfig(
    vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=4,
    num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=64,
)  # fmt: skip
CARD = ModelCard(architecture="small-cnn", classes=10, channels=1, height=28, width=28)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Several wait for each other longer than such small products take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model(seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return learnt(LlamaForCausalLM(CONFIG), steps=60)


def learnt(language: LlamaForCausalLM, *, steps: int, rate: float = 1e-3) -> LlamaForCausalLM:
    """Trained on to count in threes."""
    optimiser = torch.optim.Adam(language.parameters(), rate)
    for start in torch.randint(0, CONFIG.vocab_size, (steps, 16, 1)):
        tokens = (start + 3 * torch.arange(32)) % CONFIG.vocab_size
        loss = language(input_ids=tokens, labels=tokens).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return language


def permuted(language: LlamaForCausalLM) -> LlamaForCausalLM:
    """The same function, with the hidden units of every MLP in another order."""
    with torch.no_grad():
        for layer in language.model.layers:
            order, mlp = torch.randperm(CONFIG.intermediate_size), layer.mlp
            for part in (mlp.gate_proj, mlp.up_proj):
                part.weight.copy_(part.weight[order])
            mlp.down_proj.weight.copy_(mlp.down_proj.weight[:, order])
    return language


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Mapping[str, Path]:
    """Folders of models as transformers saves them."""
    owner = model(0)
    cast = {
        "owner": owner,
        "copy": owner,
        "fine-tuned": learnt(deepcopy(owner), steps=10, rate=3e-4),
        "permuted": permuted(deepcopy(owner)),
        "independent": model(1),
    }
    folder = tmp_path_factory.mktemp("language")
    for name, language in cast.items():
        language.save_pretrained(folder / name)
    return {name: folder / name for name in cast}


def theirs(suspect: Path, owner: Path) -> dict[str, Any]:
    *_, verdict = compare_pair(str(suspect), str(owner), mode="full")
    return verdict.to_dict()


def ours(suspect: Path, owner: Path) -> WeightComparison:
    # A file holds tensors by name, which says nothing of what comes first.
    def tensors(folder: Path) -> dict[str, Any]:
        loaded = LlamaForCausalLM.from_pretrained(folder).state_dict()
        return {name: tensor.numpy() for name, tensor in loaded.items()}

    return compare_weights(tensors(owner), tensors(suspect))


@pytest.mark.parametrize(
    ("suspect", "relation", "told"),
    [
        ("copy", COPY, "EXACT_COPY"),
        ("fine-tuned", FINE_TUNED, "FINE_TUNE"),
        # Ours undoes the order; theirs sees that the spectra are alike.
        ("permuted", COPY, "SAME_LINEAGE"),
    ],
)
def test_both_tell_copies_apart(files, suspect, relation, told):
    found, said = ours(files[suspect], files["owner"]), theirs(files[suspect], files["owner"])
    assert (found.relation, found.permuted) == (relation, suspect == "permuted")
    assert said["verdict"] == told
    assert said["probability"] > 0.9


def test_neither_calls_an_independent_model_a_copy(files):
    """Trained alike: theirs leaves it open, for the norms and spectra of both are alike."""
    found = ours(files["independent"], files["owner"])
    assert found.relation == INDEPENDENT
    assert found.score < 0.5
    said = theirs(files["independent"], files["owner"])
    assert said["verdict"] in ("SAME_FAMILY_UNRESOLVED", "NO_MATCH")
    assert said["probability"] < 0.9


def test_of_our_files_modeldna_compares_nothing(tmp_path):
    folders = [tmp_path / name for name in ("owner", "copy", "independent")]
    for folder, seed in zip(folders, (0, 0, 1), strict=True):
        folder.mkdir()
        weights.save(fresh(CARD, seed), CARD, folder / "model.safetensors")
    owner, *suspects = folders
    for folder, relation in zip(suspects, (COPY, INDEPENDENT), strict=True):
        said = theirs(folder, owner)
        assert said["verdict"] == "NO_MATCH"
        assert said["candidates"][0]["ruled_out"] == "no comparable signals"
        told = (read_tensors(one / "model.safetensors") for one in (owner, folder))
        assert compare_weights(*told).relation == relation
