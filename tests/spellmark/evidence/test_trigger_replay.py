"""A trigger run redone from its transcript, and every way to cheat with one."""

from dataclasses import asdict, replace

import pytest

from spellmark.evidence.recompute import recompute
from spellmark.evidence.transcript import Exchange, TranscriptError, write
from spellmark.evidence.trigger_leaves import LeavesError, draw_leaves
from spellmark.evidence.trigger_replay import TriggerDisclosure, replay
from spellmark.evidence.trigger_rule import TriggerRule
from spellmark.secrets import KeyFile
from spellmark.watermarks.trigger import SCHEME, TriggerKey, TriggerParameters
from spellmark.watermarks.trigger.trigger_key import image_digest

PARAMETERS = TriggerParameters(
    classes=10, channels=1, height=8, width=8, triggers=32, queries=16, grid=4
)
FILE = KeyFile(SCHEME, PARAMETERS.as_dict(), secret=bytes(range(32)), nonce=bytes(32))
KEY = TriggerKey.open(FILE, owner="robin", binding=bytes(32))
USED = (3, 4, 5)
RULE = TriggerRule(classes=10, probes=16, triggers=32, used=USED)
SEED = b"\7" * 32


def exchanges(key: TriggerKey = KEY, *, hits: bool = True) -> list[Exchange]:
    drawn = draw_leaves(SEED, 32, USED, 16)
    return [
        Exchange(
            number=n, probe=n, image_index=leaf, image_sha256=image_digest(key.image(leaf)),
            label=key.label(leaf), first_slot=0, request_sha256="0" * 64, state="answered",
            labels=((key.label(leaf) + (not hits)) % 10,),
        )
        for n, leaf in enumerate(drawn)
    ]  # fmt: skip


def told(key: TriggerKey = KEY) -> TriggerDisclosure:
    drawn = draw_leaves(SEED, 32, USED, 16)
    openings = {leaf: key.opening(leaf) for leaf in drawn}
    return TriggerDisclosure(SEED, KEY.tree.root, "robin", openings)


def header(disclosure: TriggerDisclosure) -> dict[str, object]:
    return {"rule": asdict(RULE), "seed": SEED.hex(), **disclosure.as_dict()}


def test_outsiders_come_to_the_same_figures():
    found = replay(RULE, told(), exchanges())
    assert (found.verdict, found.queries) == ("match", 8)
    assert recompute(write(header(told()), exchanges())) == {
        "method": "trigger-watermark", "statistic": 8, "pValue": found.p_value, "alpha": 1e-6,
        "smallestP": RULE.smallest_p, "queries": 16,
    }  # fmt: skip
    assert replay(RULE, told(), exchanges(hits=False)).verdict == "no match"


def test_a_disclosure_comes_back_from_json_and_tells_nothing_of_other_triggers():
    disclosure = told()
    assert TriggerDisclosure.read({"seed": SEED.hex(), **disclosure.as_dict()}) == disclosure
    text = str(disclosure.as_dict())
    hidden = set(range(32)) - set(disclosure.openings)
    assert not any(KEY.opening(leaf).salt.hex() in text for leaf in hidden)


def test_a_hand_picked_trigger_is_refused():
    asked = exchanges()
    unopened = next(n for n in range(32) if n not in told().openings and n not in USED)
    asked[0] = replace(
        asked[0], image_index=unopened, image_sha256=image_digest(KEY.image(unopened)),
        label=KEY.label(unopened), labels=(KEY.label(unopened),),
    )  # fmt: skip
    with pytest.raises(LeavesError, match="not drawn"):
        replay(RULE, told(), asked)


def test_a_changed_pixel_or_a_free_label_is_refused():
    asked = exchanges()
    changed = replace(asked[0], image_sha256="f" * 64)
    with pytest.raises(LeavesError, match="not the one that was registered"):
        replay(RULE, told(), [changed, *asked[1:]])
    free = replace(asked[0], label=(asked[0].label + 1) % 10)
    with pytest.raises(LeavesError, match="label"):
        replay(RULE, told(), [free, *asked[1:]])


def test_triggers_of_another_key_are_refused():
    other = TriggerKey.open(FILE, owner="marian", binding=bytes(32))
    with pytest.raises(LeavesError):
        replay(RULE, told(other), exchanges(other))


def test_a_trigger_counts_once():
    asked = exchanges()
    with pytest.raises(LeavesError, match="twice"):
        replay(RULE, told(), [asked[0], replace(asked[0], number=1), *asked[2:]])


def test_used_triggers_are_never_drawn_again():
    drawn = [draw_leaves(bytes([n]) * 32, 32, USED, 16) for n in range(20)]
    assert not any(set(one) & set(USED) for one in drawn)
    assert len(set(drawn)) == 20
    with pytest.raises(LeavesError, match="still unopened"):
        draw_leaves(SEED, 32, range(20), 16)


def test_a_transcript_without_its_openings_cannot_be_redone():
    lacking = {name: value for name, value in header(told()).items() if name != "openings"}
    with pytest.raises(TranscriptError):
        recompute(write(lacking, exchanges()))
