import random

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from protection.models import Protection, Rehearsal
from protection.plots import wrong_key_plot
from protection.services import attacks_create, attacks_finish
from tests import factories

KEY = factories.KEY
CHANCE = random.Random(7)
WRONG = [round(min(max(CHANCE.gauss(0.12, 0.05), 0), 0.31), 4) for _ in range(1000)]
SEEDS = [
    {"right": 0.894, "plain": 0.121, "wrong_mean": 0.118, "wrong_p95": 0.204, "wrong_max": 0.31},
    {"right": 0.887, "plain": 0.133, "wrong_mean": 0.121, "wrong_p95": 0.211, "wrong_max": 0.322},
    {"right": 0.899, "plain": 0.118, "wrong_mean": 0.109, "wrong_p95": 0.187, "wrong_max": 0.274},
]
RESULTS = [
    ("random-keys", 0.312, 128, 500, 3.2),
    ("known-plaintext", 0.893, 20, 0, 0.01),
    ("fine-tune-locked", 0.781, 50, 200, 14.0),
    ("from-scratch", 0.492, 50, 200, 13.0),
]


def text(response):
    return response.content.decode()


@pytest.fixture
def protection(alice_actor) -> Protection:
    made = factories.finished_protection(alice_actor)
    made.refresh_from_db()
    made.report_card = {
        **factories.REPORT_CARD, "wrong_keys": 1000, "wrong": WRONG, "seeds": SEEDS,
    }  # fmt: skip
    made.save()
    return made


@pytest.fixture
def rehearsal(alice_actor, protection) -> Rehearsal:
    made = attacks_create(
        actor=alice_actor, protection=protection, key=KEY, dataset="fashion-mnist",
        attacks=["random-keys", "known-plaintext", "fine-tune"],
    )  # fmt: skip
    names = ("name", "accuracy", "labels_used", "evaluations", "seconds")
    results = [dict(zip(names, one, strict=True)) for one in RESULTS]
    attacks_finish(rehearsal=made, job=factories.claimed(made.job), results=results)
    return made


@pytest.fixture
def address(protection) -> str:
    return reverse("web:protection", args=[protection.id])


def sent(**changes):
    return {
        "key_file": SimpleUploadedFile("robin.spellkey", KEY.dumps().encode()),
        "dataset": "fashion-mnist",
        "attacks": ["random-keys"],
        "budget": "quick",
        **changes,
    }


def test_it_tells_what_the_lock_is_worth(as_viewer, address):
    page = text(as_viewer.get(address))
    for told in (
        "Under 1,000 wrong keys the locked model is right on 11.8% of the images on average",
        "95 in 100 keys stay at or below 20.4%, and the best reaches 31.0%",
        "The right key reaches 89.4%, plain images 12.1%, and guessing 10.0%",
        "3 trainings",
        "88.7%",
        "An exact claim can reach <strong>p = 2.76 × 10⁻⁷</strong>",
        "4 × 4 pixels",
        "Shuffle the values in a block",
        "Nobody has attacked this lock yet",
    ):
        assert told in page, told


def test_the_histogram_counts_every_wrong_key(protection):
    plot = wrong_key_plot(protection.report_card, classes=10, name="x")
    assert plot.count('class="decoys"') == len({min(int(share * 50), 49) for share in WRONG})
    assert plot.count('class="mark') == 3
    for told in ("right key 89.4%", "plain images 12.1%", "guessing 10.0%"):
        assert told in plot
    assert wrong_key_plot(factories.REPORT_CARD, classes=10, name="x") == ""


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0), (0.1, 0.1, 0.1), (0.75, 0.9, 0.95)])
def test_no_label_of_the_histogram_stands_on_a_line(shares):
    """Whatever the figures, as three labels with their lines can fall together."""
    right, plain, wrong = shares
    report = {
        **factories.REPORT_CARD, "right": right, "plain": plain, "wrong": [wrong],
    }  # fmt: skip
    from protection import plots

    marks = plots._marks(report, 10)
    for mark in marks:
        for other in marks:
            length = 7 * len(mark.label)
            left = mark.at - length if mark.anchor == "end" else mark.at
            crosses = left < other.at < left + length and other.line < mark.top - 10
            assert not crosses, (mark, other)
            assert left >= 0
            assert left + length <= plots.WIDTH


def test_attacks_are_shown_with_their_cost_the_best_first(as_viewer, rehearsal, address):
    page = text(as_viewer.get(address))
    places = [
        page.index(name)
        for name in ("Known plaintext", "Fine-tuning, all layers", "Training from scratch")
    ]
    assert places == sorted(places)
    assert (
        "50 labelled images, 200 evaluations, 14 seconds. The locked model, trained further."
        in page
    )
    assert "For comparison: a fresh model" in page
    assert "Measured, never promised" in page


def test_several_rehearsals_stand_side_by_side(as_viewer, alice_actor, rehearsal, address):
    attacks_create(
        actor=alice_actor, protection=rehearsal.protection, key=KEY, dataset="fashion-mnist",
        attacks=["fine-tune"],
    )  # fmt: skip
    page = text(as_viewer.get(address))
    assert page.count('class="card rehearsal"') == 2
    assert "Watch its job" in page
    assert "Known plaintext" in page


def test_an_editor_starts_attacks(as_bob, protection, address):
    response = as_bob.post(address, sent(attacks=["random-keys", "fine-tune"], budget="full"))
    made = Rehearsal.objects.get()
    assert response["Location"] == reverse("web:job", args=[made.job_id])
    assert (made.attacks, made.budget) == (["random-keys", "fine-tune"], "full")
    assert address in text(as_bob.get(response["Location"]))


@pytest.mark.parametrize(
    "changes",
    [{"attacks": []}, {"attacks": ["x"]}, {"budget": "x"}, {"dataset": "x"}, {"key_file": ""}],
)
def test_a_form_that_is_not_whole_starts_nothing(as_bob, protection, address, changes):
    page = text(as_bob.post(address, sent(**changes)))
    assert 'class="error"' in page
    assert KEY.secret.hex() not in page
    assert not Rehearsal.objects.exists()


def test_another_key_starts_nothing(as_bob, protection, address):
    other = KEY.generate(KEY.scheme, KEY.parameters)
    file = SimpleUploadedFile("other.spellkey", other.dumps().encode())
    assert "does not open the registered commitment" in text(
        as_bob.post(address, sent(key_file=file))
    )


def test_a_viewer_starts_nothing(as_viewer, protection, address):
    assert as_viewer.post(address, sent()).status_code == 403
    assert "Start the attacks" not in text(as_viewer.get(address))


def test_a_lock_in_the_making_shows_its_job(as_bob, alice_actor, protection, address):
    Protection.objects.update(result=None, report_card=None)
    page = text(as_bob.get(address))
    assert "Attack it yourself" not in page
    assert "What the lock does to an image" in page


def test_version_and_job_lead_to_it(as_bob, protection, address):
    for number in (1, 2):
        assert address in text(as_bob.get(reverse("web:version", args=["robin", number])))
    assert address in text(as_bob.get(reverse("web:job", args=[protection.job_id])))


def test_the_attacks_on_offer_are_those_on_this_kind_of_lock(as_bob, protection, address):
    page = text(as_bob.get(address))
    assert "Known plaintext: " in page
    assert "Spell by gradient descent: " not in page
    response = as_bob.post(address, sent(attacks=["relaxed-spell"]))
    assert "relaxed-spell" in text(response)
    assert not Rehearsal.objects.exists()
