import math

import pytest

from protection.options import (
    STEP_WORDS,
    describe,
    in_short,
    keygen_command,
    options,
    read,
    recommended,
)
from protection.words import smallest_exact_p
from spellmark.cli import main
from spellmark.locks.key_lock.parameters import MOST_SUBKEYS, STEPS, KeyLockError, LockParameters
from spellmark.secrets import KeyFile

CARD = {"architecture": "small-cnn", "classes": 10, "channels": 1, "height": 28, "width": 28}
PLAIN = LockParameters(block=4, steps="shuffle+flip")


def _option(card, name, chosen=PLAIN):
    return next(one for one in options(card, chosen) if one.name == name)


def test_every_parameter_is_an_option_with_a_sentence():
    assert {one.name for one in options(CARD, PLAIN)} == set(PLAIN.as_dict())
    for option in options(CARD, PLAIN):
        assert option.help or all(choice.help.endswith(".") for choice in option.choices), option


def test_the_blocks_that_fit_are_offered_and_one_is_recommended():
    choices = _option(CARD, "block").choices
    assert [one.value for one in choices] == [2, 4, 7, 14, 28]
    assert [one.value for one in choices if one.is_recommended] == [recommended(CARD).block]
    assert [one.value for one in choices if one.is_chosen] == [4]
    assert "49 blocks of 16 values" in choices[1].help
    assert "try them all" in choices[0].help


def test_a_key_for_each_block_leaves_too_many_orders_to_try():
    own = LockParameters(block=2, steps="shuffle", keys="block")
    assert not any("try them all" in one.help for one in _option(CARD, "block", own).choices)
    assert "try them all" not in describe(own, CARD)[0][2]
    shared = LockParameters(block=2, steps="shuffle")
    assert "try them all" in describe(shared, CARD)[0][2]


def test_the_words_claim_nothing_that_was_not_measured():
    assert "found quickly" not in " ".join(sum(STEP_WORDS.values(), ()))


def test_as_many_sub_keys_are_offered_as_a_verification_may_advise():
    assert _option(CARD, "subkeys").most == MOST_SUBKEYS
    assert recommended({**CARD, "classes": 2}).subkeys == 5


def test_padded_blocks_are_offered_where_the_architecture_takes_them():
    card = {**CARD, "height": 29, "width": 28}
    best = recommended(card)
    assert (best.block, best.padding) == (2, "edge")
    assert "Needs padding" in _option(card, "block", best).choices[0].help
    with pytest.raises(KeyLockError, match="do not divide"):
        recommended({**card, "architecture": "other"})


def test_a_form_without_any_tick_makes_no_lock():
    assert read({}, [], PLAIN) == PLAIN
    sent = {"block": "7", "masked": "30", "keys": "block"}
    read_back = read(sent, ["substitute", "scramble"], PLAIN)
    assert read_back.as_dict() == {
        **PLAIN.as_dict(), "block": 7, "masked": 30, "keys": "block",
        "steps": "scramble+substitute",
    }  # fmt: skip
    with pytest.raises(KeyLockError, match="cannot do"):
        read({"block": "4"}, [], PLAIN)
    for wrong in ("four", "4.0", "", "9" * 5000, "-4", "²"):
        with pytest.raises(KeyLockError, match="block is a whole number"):
            read({"block": wrong}, ["flip"], PLAIN)


def test_the_smallest_exact_p_is_one_in_all_permutations():
    assert smallest_exact_p(PLAIN, 10) == pytest.approx(1 / math.factorial(10))
    two = LockParameters(block=4, steps="flip", subkeys=3)
    assert smallest_exact_p(two, 2) == pytest.approx(1 / 8)
    assert smallest_exact_p(LockParameters(block=4, steps="flip", labels="plain"), 10) is None
    assert 0 < smallest_exact_p(PLAIN, 100_000) < 1e-6


def test_the_lock_is_told_in_words():
    told = {term: value for term, value, _ in describe(PLAIN, CARD)}
    assert told == {
        "Blocks": "4 × 4 pixels",
        "Step 1": "Shuffle the values in a block",
        "Step 2": "Flip chosen values",
        "Chosen values": "50 % of a block",
        "Keys": "Shared by all blocks",
        "Answers": "Keyed",
    }
    hard = LockParameters(block=2, steps="+".join(STEPS), keys="block", padding="edge", subkeys=2)
    assert {"Tables", "Sub-keys", "Padding"} < {term for term, _, _ in describe(hard, CARD)}
    assert in_short(PLAIN) == "shuffle + flip in blocks of 4 pixels, keyed labels"
    assert in_short(hard).endswith("a key for each block, keyed labels, 2 sub-keys")


def test_the_command_makes_a_key_of_these_options(tmp_path):
    hard = LockParameters(block=7, steps="scramble+flip", masked=20, labels="plain", subkeys=2)
    path = tmp_path / "NAME.spellkey"
    command = keygen_command(hard, CARD).replace("NAME.spellkey", str(path)).split()
    assert main(command[1:]) == 0
    assert KeyFile.load(path).parameters == hard.as_dict()
