"""A trigger run redone from its transcript, and every way to cheat with one."""

from dataclasses import asdict, replace

import pytest

from spellmark.evidence.null_pool import KINDS, LEAST_MODELS, Reference
from spellmark.evidence.recompute import recompute
from spellmark.evidence.transcript import Exchange, TranscriptError, write
from spellmark.evidence.trigger_leaves import LeavesError, draw_leaves
from spellmark.evidence.trigger_pool import AskedReference, pool_digest
from spellmark.evidence.trigger_replay import TriggerDisclosure, replay
from spellmark.evidence.trigger_rule import TriggerRule, TriggerRuleError
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


LABELS = [KEY.label(leaf) for leaf in draw_leaves(SEED, 32, USED, 16)]


def asked_reference(number: int, hits: int, asked: int = 16) -> AskedReference:
    """An innocent model that gives the first `hits` triggers of a run their labels."""
    answers = [(label + (place >= hits)) % 10 for place, label in enumerate(LABELS)]
    return AskedReference(
        Reference(KINDS[number % 3], f"{number:064x}"), tuple(answers[:asked]), hits
    )


def innocents(count: int = LEAST_MODELS, *, asked: int = 16) -> list[AskedReference]:
    """Innocent models, some of each kind, that know two triggers each."""
    return [asked_reference(number, 2, asked) for number in range(count)]


def with_pool(*pool: AskedReference):
    references = [one.reference for one in pool]
    rule = replace(RULE, models=len(pool), pool_sha256=pool_digest(references))
    return rule, replace(told(), pool=pool)


def header(rule: TriggerRule, disclosure: TriggerDisclosure) -> dict[str, object]:
    return {"rule": asdict(rule), "seed": SEED.hex(), **disclosure.as_dict()}


def test_outsiders_come_to_the_same_figures():
    rule, disclosure = with_pool(*innocents())
    found, _ = replay(rule, disclosure, exchanges())
    assert (found.verdict, found.queries) == ("match", 8)
    assert recompute(write(header(rule, disclosure), exchanges())) == {
        "method": "trigger-watermark", "statistic": 8, "pValue": found.p_value, "alpha": 1e-6,
        "smallestP": RULE.smallest_p, "queries": 16, "verdict": "match",
        "evidenceClass": "verified",
        "told": {
            "earlierRegistration": None,
            "owner": "robin", "triggerRoot": KEY.tree.root, "registrationNumber": 1, "runNumber": 1,
            "classes": 10, "triggers": 32, "digits": 6, "minimumProbes": 8, "answeredProbes": 8,
            "queryCap": 16,
            "nullPool": {
                "sha256": rule.pool_sha256, "models": 30, "kinds": dict.fromkeys(KINDS, 10),
                "least": 30, "passed": 0, "void": False,
            },
        },
    }  # fmt: skip
    assert replay(rule, disclosure, exchanges(hits=False))[0].verdict == "no match"


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


def test_an_answer_that_was_left_out_is_missed():
    asked = exchanges(hits=False)
    with pytest.raises(LeavesError, match="left out"):
        replay(RULE, told(), asked[1:])
    with pytest.raises(LeavesError, match="another order"):
        replay(RULE, told(), asked[::-1])


def test_a_claim_is_void_when_an_innocent_model_passes():
    rule, disclosure = with_pool(*innocents())
    found, pool = replay(rule, disclosure, exchanges())
    assert (found.verdict, pool.models, pool.void) == ("match", 30, False)
    assert found.reason.endswith("None of 30 innocent reference models passes.")
    assert sum(pool.kinds.values()) == 30

    # Whoever passes does so however small the pool.
    rule, disclosure = with_pool(*innocents(5), asked_reference(9, 14))
    found, pool = replay(rule, disclosure, exchanges())
    assert (found.verdict, pool.void, len(pool.passed)) == ("inconclusive", True, 1)
    assert "1 of 6 innocent reference models would be accused too" in found.reason
    redone = recompute(write(header(rule, disclosure), exchanges()))
    assert (redone["verdict"], redone["told"]["nullPool"]["passed"]) == ("inconclusive", 1)


def test_triggers_behind_the_runs_end_count_for_the_pool_too():
    """Of eight opened triggers it knows seven, too few; of all sixteen fifteen: a match."""
    late = AskedReference(
        Reference(KINDS[0], "a" * 64), tuple(asked_reference(1, 7).answers[:8]), 15
    )
    rule, disclosure = with_pool(late)
    assert replay(rule, disclosure, exchanges()[:8])[0].verdict == "inconclusive"
    assert not replace(late, hits=9).passes(rule, LABELS[:8])


def test_hits_that_contradict_the_answers_are_refused():
    for hits in (1, 11):
        told_wrong = replace(asked_reference(1, 2, asked=8), hits=hits)
        rule, disclosure = with_pool(told_wrong)
        with pytest.raises(ValueError, match="more or fewer hits"):
            replay(rule, disclosure, exchanges()[:8])


def test_another_pool_than_the_registered_one_is_refused():
    rule, disclosure = with_pool(asked_reference(1, 2), asked_reference(2, 14))
    without = replace(disclosure, pool=disclosure.pool[:1])
    with pytest.raises(ValueError, match="not the one that was registered"):
        replay(rule, without, exchanges())
    with pytest.raises(ValueError, match="not the one that was registered"):
        replay(RULE, disclosure, exchanges())
    with pytest.raises(TriggerRuleError, match="null pool"):
        replace(RULE, models=3)


def test_an_alpha_that_no_key_commits_to_is_refused():
    rule, disclosure = with_pool(*innocents())
    looser = header(replace(rule, alpha=0.01), disclosure)
    assert recompute(write(looser, exchanges()))["told"]["digits"] == 2
    with pytest.raises(TranscriptError):
        recompute(write(header(replace(rule, alpha=0.02), disclosure), exchanges()))


@pytest.mark.parametrize(
    ("pool", "asked"),
    [
        ([], "No innocent reference model was asked"),
        (innocents(29), "None of 29 innocent reference models passes"),
        ([asked_reference(3 * number, 2) for number in range(40)], "None of 40"),
    ],
    ids=["none", "too few", "one kind alone"],
)
def test_a_pool_that_is_too_small_accuses_nobody(pool, asked):
    rule, disclosure = with_pool(*pool)
    found, _ = replay(rule, disclosure, exchanges())
    assert (found.verdict, found.p_value <= rule.alpha) == ("inconclusive", True)
    assert asked in found.reason
    assert "asks for 30 that the platform trained, with some of each kind" in found.reason
    assert "Grow the pool" in found.reason
    assert recompute(write(header(rule, disclosure), exchanges()))["verdict"] == "inconclusive"
    # What is no match needs no pool.
    found, _ = replay(rule, disclosure, exchanges(hits=False))
    assert found.verdict == "no match"


def test_no_rule_asks_for_a_smaller_pool():
    rule, disclosure = with_pool(*innocents(6))
    lenient = header(rule, disclosure) | {"rule": asdict(rule) | {"least_models": 6}}
    with pytest.raises(TranscriptError):
        recompute(write(lenient, exchanges()))


def test_a_pool_is_not_made_larger_by_telling_a_model_twice_or_bringing_one():
    six = innocents(6)
    brought = replace(six[0], reference=Reference(KINDS[0], "a" * 64, source="uploaded"))
    for pool in (six * 5, [*innocents(), brought]):
        rule, disclosure = with_pool(*pool)
        with pytest.raises(ValueError, match="twice, or was not trained"):
            replay(rule, disclosure, exchanges())


def test_a_transcript_without_its_openings_cannot_be_redone():
    lacking = {name: value for name, value in header(RULE, told()).items() if name != "openings"}
    with pytest.raises(TranscriptError):
        recompute(write(lacking, exchanges()))
