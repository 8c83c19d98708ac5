"""The null pool's rows, runs by fingerprint as services make them, and their plot."""

from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from django.db import IntegrityError

from accounts.actors import ForbiddenError
from ledger.selectors import trust
from registry import storage
from registry.services import file_upload, version_create, version_publish
from spellmark.certificates.verify import verify_files
from spellmark.evidence.fingerprint_rule import FingerprintRuleError
from spellmark.evidence.null_pool import (
    KINDS,
    OTHER_DATA,
    SAME_ARCHITECTURE,
    SAME_DATA,
    TEST,
    TRAINED,
    WEAK,
)
from tests import factories
from verification.fingerprints import fingerprint_rule_for, next_best
from verification.models import Reference, Run
from verification.plots import LEFT, RIGHT, run_plot, run_plot_text
from verification.references import (
    PoolError,
    check_able,
    check_owner_able,
    fewest_of_a_kind,
    pool_grow,
    pool_of,
    reference_upload,
)
from verification.selectors import reference_list, run_bundle
from verification.services import VerificationError, suspect_file_create

SVG = "{http://www.w3.org/2000/svg}"
DATA = "fashion-mnist"


@pytest.fixture
def version(alice_actor):
    return factories.published_version(alice_actor)


def file_suspect(actor, name="file"):
    return suspect_file_create(
        actor=actor, name=name, chunks=[factories.model_file(description=name)]
    )


def uploaded(actor, version=None, *, kind=SAME_ARCHITECTURE, card=factories.CARD, name="brought"):
    return reference_upload(
        actor=actor, name=name, kind=kind, dataset=DATA, version=version,
        chunks=[factories.model_file(description=name, card=card)],
    )  # fmt: skip


def test_kinds_are_as_close_as_data_and_architecture_say(alice_actor, version):
    factories.reference_pool(alice_actor, version, of_a_kind=2)
    other = replace(factories.CARD, config={"width": 8})
    uploaded(alice_actor, kind=SAME_ARCHITECTURE, card=other, name="of another architecture")
    kinds = [one.kind for one in pool_of(version, DATA)]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        OTHER_DATA: 2, SAME_DATA: 3, SAME_ARCHITECTURE: 2,
    }  # fmt: skip
    assert {one.kind for one in pool_of(version, "digits")} == {OTHER_DATA}
    assert {one.kind for one in pool_of(version, DATA, comparable=True)} == {SAME_ARCHITECTURE}
    assert fewest_of_a_kind(pool_of(version, DATA)) == 2
    assert fewest_of_a_kind(pool_of(version, DATA, comparable=True), comparable=True) == 2
    assert fewest_of_a_kind(pool_of(version, "digits")) == 0


def test_a_pool_stands_against_its_version_or_all_that_take_such_images(alice_actor, version):
    factories.reference_pool(alice_actor, version, of_a_kind=1)
    uploaded(alice_actor)
    another = factories.published_version(alice_actor, name="wren")
    assert [row.name for row in pool_of(another, DATA).values()] == ["brought"]
    wide = replace(factories.CARD, height=16, width=16)
    with pytest.raises(PoolError, match="does not take the images"):
        uploaded(alice_actor, version, card=wide)
    uploaded(alice_actor, card=wide, name="larger")
    assert len(pool_of(version, DATA)) == 4


def test_weak_models_of_another_versions_pool_count_only_against_a_claim(alice_actor, version):
    weak = factories.reference_pool(alice_actor, version, of_a_kind=1)
    Reference.objects.update(version=None, accuracy=0.6)
    another = factories.published_version(alice_actor, name="wren")
    assert {one.source for one in pool_of(another, DATA)} == {TRAINED}
    factories.reference_pool(alice_actor, another, of_a_kind=2)
    found = {row.id: one.source for one, row in pool_of(another, DATA).items()}
    assert {found[row.id] for row in weak} == {WEAK}
    assert fewest_of_a_kind(pool_of(another, DATA)) == 2
    # Those of a version's own were measured beside its model.
    Reference.objects.filter(id=weak[0].id).update(version=another)
    found = {row.id: one.source for one, row in pool_of(another, DATA).items()}
    assert found[weak[0].id] == TRAINED


def test_a_pool_that_is_too_weak_beside_the_owners_model_is_refused():
    check_able([0.8, 0.9], 0.88)
    check_able([], 0.88)
    for weak in (0.78, None):
        with pytest.raises(PoolError, match="would stand out among such like a copy"):
            check_able([0.9, weak], 0.88)


def test_an_owners_model_near_guessing_is_refused():
    check_owner_able(0.3, 10)
    with pytest.raises(PoolError, match="right on 29.0% .* guessing gives 10.0% .* asks for 30.0%"):
        check_owner_able(0.29, 10)
    # Of two classes nobody can be right three times as often as chance.
    check_owner_able(0.75, 2)
    with pytest.raises(PoolError, match="asks for 75.0%"):
        check_owner_able(0.7, 2)


def test_a_model_stands_in_the_pool_once_and_the_owners_own_never(alice_actor, version):
    uploaded(alice_actor)
    row = Reference.objects.get()
    own = version.files.get()
    Reference.objects.filter(id=row.id).update(sha256=own.sha256)
    assert pool_of(version, DATA) == {}
    with pytest.raises(IntegrityError):
        Reference.objects.create(
            organisation=row.organisation, name="again", kind=row.kind, source="uploaded",
            dataset=DATA, card=row.card, sha256=own.sha256, created_by="alice",
        )  # fmt: skip


def test_only_those_who_verify_grow_a_pool(alice_actor, version, charlie_actor):
    reader = replace(alice_actor, permissions=frozenset({"read"}))
    with pytest.raises(ForbiddenError):
        pool_grow(actor=reader, version=version, dataset=DATA)
    with pytest.raises(PoolError, match="cannot be trained"):
        pool_grow(actor=alice_actor, version=version, dataset=DATA, of_a_kind=0)
    factories.reference_pool(alice_actor, version, of_a_kind=1)
    assert reference_list(actor=alice_actor).count() == 3
    assert reference_list(actor=charlie_actor).count() == 0


def test_a_small_pool_says_how_many_are_missing(alice_actor, version):
    factories.reference_pool(alice_actor, version, of_a_kind=9)
    with pytest.raises(FingerprintRuleError, match="holds 9 models of a kind that"):
        fingerprint_rule_for(version, DATA, method="agreement")
    with pytest.raises(FingerprintRuleError, match="9 models of its architecture of a kind"):
        fingerprint_rule_for(version, DATA, method="weights")
    for number in range(5):
        uploaded(alice_actor, name=f"brought {number}")
    with pytest.raises(FingerprintRuleError, match="holds 9 models"):
        fingerprint_rule_for(version, DATA, method="agreement")


def test_rule_pool_and_halves_are_fixed_before_the_suspect_is_asked(alice_actor):
    run = factories.queued_fingerprint_run(alice_actor)
    assert run.evidence_class == "indicative"
    assert (run.rule["of_a_kind"], run.smallest_p) == (19, 1 / 20)
    assert [row["half"] for row in run.pool].count(TEST) == 27
    assert {row["score"] for row in run.pool} == {None}
    assert run.protection is None


def test_suspects_that_a_method_cannot_compare_are_refused(alice_actor):
    version = factories.queued_fingerprint_run(alice_actor).version
    for _ in range(2):
        factories.reference_pool(alice_actor, version)
    with pytest.raises(VerificationError, match="is a service"):
        factories.queued_fingerprint_run(alice_actor, version=version, method="weights")
    innocent = Reference.objects.first()
    suspect = file_suspect(alice_actor)
    suspect.sha256 = innocent.sha256
    suspect.save()
    with pytest.raises(VerificationError, match="stands in the null pool"):
        factories.queued_fingerprint_run(alice_actor, version=version, suspect=suspect)


@pytest.mark.parametrize("verdict", ["match", "no match", "inconclusive"])
def test_a_finished_run_verifies_offline(alice_actor, verdict):
    run = factories.finished_fingerprint_run(alice_actor, verdict=verdict, probes=20)
    assert run.verdict == verdict
    report = verify_files(run_bundle(run), trust())
    assert report.passed, report.checks
    told = report.statement.parameters["nullPool"]
    assert (told["tested"], told["falsePositives"], told["void"]) == (27, 0, False)
    assert told["falsePositiveRateAtMost"] == pytest.approx(1 - 0.05 ** (1 / 27), abs=1e-6)
    assert report.statement.evidence_class == "indicative"


@pytest.mark.parametrize("verdict", ["match", "no match", "inconclusive"])
@pytest.mark.parametrize("is_file", [False, True])
@pytest.mark.parametrize(
    "finished", [factories.finished_fingerprint_run, factories.finished_feature_run]
)
def test_certificate_and_page_tell_the_same_of_the_pool(alice_actor, finished, is_file, verdict):
    suspect = file_suspect(alice_actor) if is_file else None
    run = finished(alice_actor, verdict=verdict, suspect=suspect)
    report = verify_files(run_bundle(run), trust())
    assert report.passed, report.checks
    told, kinds = report.statement.parameters, Counter(row["kind"] for row in run.pool)
    assert told["nullPool"]["kinds"] == {kind: kinds[kind] for kind in KINDS}
    for name in ("models", "threshold", "tested", "falsePositives", "void"):
        assert told["nullPool"][name] == run.findings[name]
    assert told.get("wrongStyle") == run.findings.get("control")
    assert told["ownerAccuracy"] == run.findings["ownerAccuracy"]


def test_a_certificate_counts_the_runs_of_the_same_file_under_another_number(alice_actor):
    first = factories.finished_fingerprint_run(alice_actor, probes=20)
    again = version_create(actor=alice_actor, model=first.version.model)
    body = storage.get(first.version.files.get().sha256)
    file_upload(actor=alice_actor, version=again, name="model.safetensors", chunks=[body])
    again = version_publish(actor=alice_actor, version=again)
    Reference.objects.update(version=None)
    second = factories.finished_fingerprint_run(alice_actor, probes=20, version=again)
    assert second.version.number == 2
    told = [
        verify_files(run_bundle(run), trust()).statement.parameters["earlierRuns"]
        for run in (first, second)
    ]
    assert told == [0, 1]


def test_a_void_claim_says_so_and_offers_the_next_method(alice_actor):
    run = factories.finished_fingerprint_run(alice_actor, void=True, probes=20)
    assert (run.verdict, run.findings["void"]) == ("inconclusive", True)
    assert run.reason.startswith("Void")
    method, why = next_best(run)
    assert method == ""
    assert "key" in why


def test_what_is_next_hangs_on_what_was_tried(alice_actor):
    run = factories.finished_fingerprint_run(alice_actor, verdict="inconclusive", probes=20)
    run.access_level = "probabilities"
    assert next_best(run)[0] == "correlation"
    run.method = "correlation"
    assert next_best(run)[0] == "agreement"
    run.method = "weights"
    assert next_best(run)[0] == "correlation"
    run.verdict = Run.Verdict.MATCH
    assert next_best(run) is None


def test_the_plot_shows_the_pool_and_the_suspect_inside_its_frame(alice_actor):
    run = factories.finished_fingerprint_run(alice_actor, probes=20)
    drawn = ElementTree.fromstring(run_plot(run))  # noqa: S314 - our own SVG
    dots = [float(e.get("cx")) for e in drawn.iter(f"{SVG}circle")]
    assert len(dots) == 57 + 2  # and the legend's
    marks = [e.get("d") for e in drawn.iter(f"{SVG}path") if e.get("class") == "true-key"]
    suspect = float(marks[1].split()[0].removeprefix("M"))
    assert LEFT <= min(dots) < max(dots[2:]) < suspect <= RIGHT
    text = run_plot_text(run)
    assert "57 innocent models score 0.400 to 0.600" in text
    assert "at most 10.5%" in text
