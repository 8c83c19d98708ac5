import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from spellmark.model_files.card import METADATA_KEY, ModelCard, ModelCardError
from spellmark.model_files.safetensors_header import read_header

FIELDS: dict[str, Any] = {
    "architecture": "small-cnn",
    "classes": 3,
    "channels": 1,
    "height": 28,
    "width": 20,
}


def metadata(**changes: Any) -> dict[str, str]:
    """A card's metadata with some fields changed, or left out if changed to `...`."""
    fields = json.loads(ModelCard(**FIELDS).to_metadata()[METADATA_KEY]) | changes
    return {METADATA_KEY: json.dumps({k: v for k, v in fields.items() if v is not ...})}


def test_its_metadata_is_pinned():
    config = {"width": 8, "deep": {"b": [1, 2.5, None], "a": True}}
    card = ModelCard(**FIELDS, config=config, label_names=("a", "b", "ü"), mean=(0.5,), std=(0.25,))
    assert card.to_metadata() == {
        "spellmark.card": '{"architecture": "small-cnn", "channels": 1, "classes": 3, '
        '"config": {"deep": {"a": true, "b": [1, 2.5, null]}, "width": 8}, '
        '"description": "", "height": 28, "label_names": ["a", "b", "ü"], "mean": [0.5], '
        '"std": [0.25], "version": 1, "width": 20}'
    }


def test_it_travels_in_a_safetensors_file(tmp_path: Path):
    card = ModelCard(**FIELDS, description="Clothes,\nsmall and grey.")
    save_file({"w": torch.zeros(1)}, tmp_path / "m", metadata=card.to_metadata())
    assert ModelCard.from_metadata(read_header(tmp_path / "m").metadata) == card


def test_its_config_is_its_own():
    config = {"sizes": [8]}
    card = ModelCard(**FIELDS, config=config)
    config["sizes"].append(16)
    assert card.config == {"sizes": [8]}
    assert len({card, ModelCard(**FIELDS, config={"sizes": [8]})}) == 1


def test_left_out_normalisation_is_none():
    card = ModelCard(**FIELDS | {"channels": 3})
    assert (card.mean, card.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@given(
    st.builds(
        ModelCard,
        architecture=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
        classes=st.just(2),
        channels=st.just(1),
        config=st.dictionaries(
            st.text(min_size=1, max_size=9),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers(-65_536, 65_536)
                | st.floats(-65_536, 65_536)
                | st.text(max_size=9),
                lambda inner: st.lists(inner, max_size=3),
                max_leaves=3,
            ).filter(lambda value: str(value).count("[") < 4),
            max_size=3,
        ),
        height=st.integers(1, 4096),
        width=st.integers(1, 4096),
        extra_classes=st.just(0),
        binding=st.binary(max_size=64).map(bytes.hex),
        label_names=st.one_of(
            st.just(()), st.tuples(st.text(min_size=1, max_size=9), st.text(min_size=1))
        ),
        description=st.text(),
        mean=st.tuples(st.floats(allow_nan=False, allow_infinity=False)),
        std=st.tuples(st.floats(min_value=1e-300, allow_infinity=False)),
    )
)
def test_every_card_comes_back_the_same(card: ModelCard):
    assert ModelCard.from_metadata(card.to_metadata()) == card


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architecture": "../x"}, "architecture is not a name"),
        ({"architecture": 1}, "architecture is not a name"),
        ({"architecture": "a\n"}, "architecture is not a name"),
        ({"config": []}, "config is not an object"),
        ({"config": "{}"}, "config is not an object"),
        ({"config": ...}, "lacks “config”"),
        ({"config": {"a": 65_537}}, "config is not of numbers of at most 65,536"),
        ({"config": {"a": [-1e999]}}, "config is not of numbers"),
        ({"config": {"a": 10**400}}, "config is not of numbers"),
        ({"config": {"a": "x" * 201}}, "config is not of texts of at most 200"),
        ({"config": {"x" * 201: 1}}, "config is not of names of 1 to 200"),
        ({"config": {"a": [0] * 1_000}}, "config is not of at most 1,000 parts"),
        ({"config": {"a": [[[[1]]]]}}, "config is not nested at most 4 deep"),
        ({"classes": 1}, "classes is not a whole number from 2 to 100000"),
        ({"classes": 100_001}, "classes is not a whole number"),
        ({"classes": True}, "classes is not a whole number"),
        ({"classes": 3.0}, "classes is not a whole number"),
        ({"channels": 2}, "channels is not 1 (grey) or 3 (colour)"),
        ({"channels": True}, "channels is not"),
        ({"height": 0}, "height is not a whole number from 1 to 4096"),
        ({"width": 4097}, "width is not a whole number from 1 to 4096"),
        ({"width": "20"}, "width is not a whole number"),
        ({"label_names": ["a"]}, "label_names is not empty or a list of 3 names"),
        ({"label_names": "abc"}, "label_names is not a list"),
        ({"label_names": ["a", "b", 3]}, "label_names is not texts"),
        ({"label_names": ["a", "b", ""]}, "label_names is not texts"),
        ({"extra_classes": 2}, "extra_classes is not a whole number from 0 to 1"),
        ({"binding": "0x12"}, "binding is not at most 64 bytes"),
        ({"binding": "abc"}, "binding is not at most 64 bytes"),
        ({"binding": "00" * 65}, "binding is not at most 64 bytes"),
        ({"binding": None}, "binding is not at most 64 bytes"),
        ({"extra_classes": True}, "extra_classes is not a whole number"),
        ({"classes": 2, "extra_classes": 1}, "extra_classes is not a whole number from 0 to 0"),
        ({"description": 5}, "description is not a text"),
        ({"description": "x" * 10_001}, "description is not a text of at most 10,000"),
        ({"mean": [0.5, 0.5]}, "mean is not 1 finite number"),
        ({"mean": [1e999]}, "mean is not 1 finite number"),
        ({"mean": [10**400]}, "mean is not 1 finite number"),
        ({"mean": [False]}, "mean is not 1 finite number"),
        ({"mean": 0.5}, "mean is not a list"),
        ({"std": [0.0]}, "std is not greater than 0"),
        ({"std": [-1]}, "std is not greater than 0"),
        ({"version": 2}, "not of version 1"),
        ({"version": ...}, "not of version 1"),
        ({"width": ...}, "lacks “width”"),
        ({"weight": 1}, "has the unknown field “weight”"),
    ],
)
def test_it_refuses_a_wrong_card(changes: dict[str, Any], reason: str):
    told = metadata(**changes)
    told = {key: value.replace("Infinity", "1e999") for key, value in told.items()}
    with pytest.raises(ModelCardError) as caught:
        ModelCard.from_metadata(told)
    assert reason in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"classes":2,"classes":3}', "“classes” stands twice"),
        ('{"mean":[NaN]}', "NaN"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_it_refuses_what_is_no_card(text: str, reason: str):
    with pytest.raises(ModelCardError, match=reason):
        ModelCard.from_metadata({METADATA_KEY: text})


def test_an_extra_class_is_told_where_there_is_one():
    card = ModelCard(**FIELDS, extra_classes=1)
    assert ModelCard.from_metadata(card.to_metadata()) == card
    assert "extra_classes" not in ModelCard(**FIELDS).to_metadata()[METADATA_KEY]


@pytest.mark.parametrize("value", [(1, 2), b"x", {1, 2}, object(), float("nan"), {1: 2}])
def test_it_refuses_a_config_that_is_not_json(value: Any):
    with pytest.raises(ModelCardError, match="config is not"):
        ModelCard(**FIELDS, config={"a": value})


def test_it_says_how_to_add_a_missing_card():
    with pytest.raises(ModelCardError, match="carries no Spellmark model card") as caught:
        ModelCard.from_metadata({"format": "pt"})
    assert "to_metadata" in caught.value.hint
