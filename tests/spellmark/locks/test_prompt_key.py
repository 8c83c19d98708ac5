from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spellmark.locks.labels import label_permutation
from spellmark.locks.prompt_lock import image_operations, prompts
from spellmark.locks.prompt_lock.editors import Editor, load_editor
from spellmark.locks.prompt_lock.negatives import Negatives, _near, _wrong
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockError, PromptLockParameters
from spellmark.locks.prompt_lock.policies import POLICIES
from spellmark.locks.prompt_lock.prompt_key import PromptKey, blend
from spellmark.locks.prompt_lock.report_card import guessing_bits, near_edits
from spellmark.locks.prompt_lock.strength import IMAGES, require_strength, strength, weakest
from spellmark.locks.prompt_lock.train_editor import PROMPTS
from spellmark.secrets import KeyFile
from spellmark.training import datasets

SECRET, NONCE = bytes(range(32)), bytes(range(32, 64))


@pytest.fixture(scope="module")
def editor() -> Editor:
    return load_editor()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return datasets.load("fashion-mnist").test.images[:48]


def _file(editor: Editor, prompt: str = "open sesame", **chosen) -> KeyFile:
    parameters = PromptLockParameters(editor=editor.digest, **chosen)
    return KeyFile(SCHEME, parameters.as_dict(), SECRET, NONCE, prompt)


def _key(editor: Editor, prompt: str = "open sesame", **chosen) -> PromptKey:
    return PromptKey.open(
        _file(editor, prompt, **chosen), editor=editor, binding=b"registry", classes=10
    )


def test_a_spell_has_a_screen_of_its_own(editor, images):
    key = _key(editor)
    assert np.array_equal(key(images), _key(editor)(images))
    for other in (_key(editor, "open sesam"), _key(editor, seed=1), _key(editor, alpha=40)):
        assert not np.array_equal(key(images), other(images))
    assert key(images).shape == images.shape
    assert key(images).dtype == np.uint8


def test_nothing_blended_in_changes_nothing(editor, images):
    assert np.array_equal(_key(editor, alpha=0)(images), images)
    key = _key(editor, alpha=100)
    assert np.array_equal(key(images), key.transforms[0].edited(images))


@given(
    arrays(np.uint8, (2, 1, 3, 3)), arrays(np.uint8, (2, 1, 3, 3)), st.integers(0, 100)
)  # fmt: skip
def test_the_blend_is_rounded_and_not_cut(images, edited, alpha):
    exact = images * (1 - alpha / 100) + edited * (alpha / 100)
    assert np.abs(blend(images, edited, alpha) - exact).max() <= 0.5 + 1e-9


def test_labels_are_permuted_by_the_key(editor):
    key = _key(editor, subkeys=2)
    classes = np.arange(10)
    for j in range(2):
        drawn = label_permutation(SECRET, scheme=SCHEME, binding=b"registry", classes=10, index=j)
        assert key.encode(classes, j).tolist() == drawn
        assert np.array_equal(key.decode(key.encode(classes, j), j), classes)
    assert not np.array_equal(key.labels[0], key.labels[1])
    assert np.array_equal(_key(editor, labels="plain").encode(classes), classes)


def test_sub_keys_have_spells_of_their_own(editor, images):
    first, second = _key(editor, subkeys=2).transforms
    assert not np.array_equal(first(images), second(images))


def test_a_spell_has_decoys_that_are_drawn_alike_and_a_prompt_has_none(editor, images):
    key = _key(editor)
    decoys = [key.decoy(bytes([n]) * 32) for n in range(200)]
    drawn = np.concatenate([decoy.embedding for decoy in decoys])
    assert abs(drawn.mean()) < 5 / np.sqrt(len(drawn))
    assert abs(drawn.std() - 1) < 5 / np.sqrt(2 * len(drawn))
    assert decoys[0].parameters == key.transforms[0].parameters
    with pytest.raises(PromptLockError, match="no decoys for a prompt"):
        _key(editor, "at night", reading="prompt").decoy(bytes(32))


def test_a_key_needs_its_scheme_and_its_editor(editor):
    with pytest.raises(PromptLockError, match="is for key-lock/v1, not for a prompt lock"):
        PromptKey.open(
            replace(_file(editor), scheme="key-lock/v1"), editor=editor, binding=b"", classes=10
        )
    other = replace(_file(editor), parameters=_other_editor(editor))
    with pytest.raises(PromptLockError, match="is for the editor 0000"):
        PromptKey.open(other, editor=editor, binding=b"", classes=10)


def _other_editor(editor: Editor) -> dict[str, int | str]:
    return PromptLockParameters(editor="0" * 64).as_dict()


def test_secrets_are_in_no_picture_of_the_key(editor):
    shown = repr(_key(editor)) + repr(_file(editor)) + repr(_key(editor).transforms[0])
    assert "sesame" not in shown
    assert SECRET.hex()[:16] not in shown
    assert "array" not in shown


def test_weak_edits_are_told_before_any_training(editor, images):
    """As published: edits that an editor barely performs do not lock (2405.16285)."""
    assert strength(_key(editor).transforms[0], images).is_enough
    for prompt in ("with oil pastel", "on ruled paper", "in soft fog"):
        assert strength(_key(editor, prompt, reading="prompt").transforms[0], images).is_enough
    for prompt in ("with brighter highlights", "with stronger colours", "zq9-f3kd", ""):
        assert not strength(_key(editor, prompt, reading="prompt").transforms[0], images).is_enough
    assert strength(_key(editor, alpha=0).transforms[0], images).change == 0


def test_of_an_edit_that_one_picture_replaces_the_owner_is_told(editor, images):
    """With the picture a thief is as far from the edit as `own` says."""
    assert weakest(_key(editor, subkeys=2), images).caution == ""
    key = _key(editor, "add a moon to the background", reading="prompt")
    found = require_strength(key, images)
    assert "whoever adds one picture to every image comes close" in found.caution
    few = images[:IMAGES].astype(float)
    edited = key(images[:IMAGES])
    by_one_picture = few + (edited - few).mean(0)
    assert np.sqrt((((by_one_picture - edited) / 255) ** 2).mean()) == pytest.approx(found.own)
    # Refused for something else already.
    assert weakest(_key(editor, "with more contrast", reading="prompt"), images).caution == ""


def test_a_uniform_change_is_nothing_of_the_images_own(editor, images):
    class Brighter:
        def __call__(self, images: np.ndarray) -> np.ndarray:
            return np.clip(images.astype(int) + 40, 0, 255).astype(np.uint8)

    dark = images // 2
    found = strength(Brighter(), dark)
    assert found.change == pytest.approx(40 / 255)
    assert found.own == pytest.approx(0)


@pytest.mark.parametrize("policy", POLICIES)
def test_negatives_come_in_the_shares_that_were_asked_for(editor, images, policy):
    generator = np.random.default_rng(0)
    pool = Negatives(policy=policy, share=0.5).prepare(images, _key(editor), generator)
    drawn = pool.draw(40, generator)
    assert drawn.shape[1:] == images.shape[1:]
    assert drawn.dtype == np.uint8
    if policy == "none":
        assert len(drawn) == 0
        return
    assert len(drawn) == 20
    plain = {image.tobytes() for image in images}
    assert sum(image.tobytes() in plain for image in drawn) >= 5
    targets = pool.targets(len(drawn), 11 if policy == "extra-class" else 10, generator)
    assert np.allclose(targets.sum(1), 1)
    if policy == "uniform":
        assert np.allclose(targets, 0.1)
    if policy == "extra-class":
        assert (targets.argmax(1) == 10).all()


def test_no_negative_is_as_good_as_the_key(editor, images):
    """Near spells share at most `nearest` of the variance; none is the key's own edit."""
    generator, key = np.random.default_rng(0), _key(editor)
    pool = Negatives(near=0.55, plain=0.25, operations=0.2).prepare(images, key, generator)
    assert pool.near.all()
    right = key.transforms[0].edited(pool.source).astype(int)
    assert np.abs(pool.edited - right).mean(axis=(1, 2, 3)).min() > 5


def test_unknown_negatives_are_refused():
    with pytest.raises(PromptLockError, match="no “some” negatives"):
        Negatives(policy="some")


@pytest.mark.parametrize("name", [*image_operations.TRAINED, *image_operations.HELD_OUT])
@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (2, 3, 9, 13)])
def test_image_operations_change_images_and_keep_their_shape(name, shape):
    do = {**image_operations.TRAINED, **image_operations.HELD_OUT}[name]
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    kept = images.copy()
    for seed in range(5):
        done = do(images, np.random.default_rng(seed))
        assert done.shape == shape
        assert done.dtype == np.uint8
        assert not np.array_equal(done, images)
    assert np.array_equal(images, kept)


def test_what_is_trained_against_is_not_what_is_tested():
    assert not set(image_operations.TRAINED) & set(image_operations.HELD_OUT)
    assert not set(prompts.TRAINED) & set(prompts.HELD_OUT)
    assert len({*prompts.TRAINED, *prompts.HELD_OUT}) == len(prompts.TRAINED + prompts.HELD_OUT)


def test_all_that_our_editor_knows_is_trained_against_or_tested():
    """Other words leave images alone, and tell little of a lock."""
    assert {*PROMPTS} == {*prompts.KNOWN} <= {*prompts.TRAINED, *prompts.HELD_OUT}
    assert len({*PROMPTS} & {*prompts.HELD_OUT}) > 30


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30))
def test_texts_near_a_text_are_others_and_differ(text):
    found = prompts.near(text, 12, np.random.default_rng(0))
    assert text not in found
    assert len(found) == len(set(found)) == 12


def test_the_key_s_own_prompt_is_nowhere_taken_for_another(editor, images):
    key = _key(editor, "As  a woodcut", reading="prompt")
    own = editor.read("as a woodcut")
    assert np.array_equal(key.transforms[0].embedding, own)
    others = editor.other_prompts(prompts.TRAINED, key.prompt)
    assert [*prompts.TRAINED] == sorted([*others, "as a woodcut"], key=prompts.TRAINED.index)
    wrong = near_edits(key, SECRET, binding=b"", count=200)
    assert len(wrong) == 200
    assert not any(np.array_equal(edit.embedding, own) for edit in wrong)
    generator = np.random.default_rng(0)
    for draw in (_wrong, partial(_near, Negatives())):
        assert not any(np.array_equal(draw(key, generator), own) for _ in range(300))


@pytest.mark.parametrize(
    "prompt", ["with oil pastel", "As an  engraving", "on a dark wooden table"]
)
def test_no_text_is_both_trained_against_and_tested(editor, prompt):
    """Nor where a synonym of the prompt stands in the list of the test, or spaces are read over."""
    key, generator = _key(editor, prompt, reading="prompt"), np.random.default_rng(0)
    tested = [edit.embedding for edit in near_edits(key, SECRET, binding=b"", count=100)]
    tested += [editor.read(text) for text in prompts.HELD_OUT]
    near, wrong = (
        {draw(key, generator).tobytes() for _ in range(100)}
        for draw in (partial(_near, Negatives()), _wrong)
    )
    # Not one text again and again.
    assert len(near) > 30
    assert not (near | wrong) & {one.tobytes() for one in tested}


def test_texts_near_a_long_prompt_are_ones_that_the_editor_reads_to_the_end(editor):
    key = _key(editor, "with oil pastel on a dark red wooden garden table of us", reading="prompt")
    assert len(near_edits(key, SECRET, binding=b"")) > 10
    generator = np.random.default_rng(0)
    for _ in range(100):
        _near(Negatives(), key, generator)


def test_near_texts_give_other_edits(editor, images):
    for reading, prompt in (("spell", "open sesame"), ("prompt", "with oil pastel")):
        key = _key(editor, prompt, reading=reading)
        edits = near_edits(key, SECRET, binding=b"registry", count=4)
        embeddings = [key.transforms[0].embedding, *(edit.embedding for edit in edits)]
        assert all(not np.array_equal(a, b) for a, b in pairwise(embeddings))
    # A spell's neighbours are as far from it as any other.
    key = _key(editor)
    near = near_edits(key, SECRET, binding=b"registry", count=10)
    mine = key.transforms[0].embedding
    angles = [
        one.embedding @ mine / np.linalg.norm(one.embedding) / np.linalg.norm(mine) for one in near
    ]
    assert np.abs(angles).max() < 0.5


@pytest.mark.parametrize(
    ("unlocked", "tried", "bits"), [(0, 300, 6.65), (0, 20_000, 12.7), (300, 300, 0), (1, 2, 0.04)]
)
def test_bits_are_counted(unlocked, tried, bits):
    """None of n: 1 - 0.05^(1/n) at the most, which is about 3/n."""
    assert guessing_bits(unlocked, tried) == pytest.approx(bits, abs=0.01)
