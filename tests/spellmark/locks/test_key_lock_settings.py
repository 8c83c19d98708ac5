import pytest

from spellmark.locks.key_lock.parameters import KeyLockError
from spellmark.locks.key_lock.settings import STEPS, check_wrong_keys, rounds_for


def test_rounds_make_the_benchmarks_steps():
    assert rounds_for(60_000) == 12
    assert rounds_for(6_000) == pytest.approx(120, abs=1)


@pytest.mark.parametrize("images", [1, 100, 129, 1_000, 8_000, 60_000])
def test_any_number_of_images_makes_about_as_many_steps(images):
    steps = -(-images // 128)
    assert rounds_for(images) * steps == pytest.approx(STEPS, abs=steps / 2)


def test_many_images_are_seen_once_and_none_do_no_harm():
    assert rounds_for(10**7) == 1
    assert rounds_for(0) == STEPS
    assert rounds_for(1_000, batch=1_000) == STEPS


def test_a_report_card_rests_on_many_wrong_keys():
    check_wrong_keys(1_000)
    with pytest.raises(KeyLockError, match="999 wrong keys are too few"):
        check_wrong_keys(999)
