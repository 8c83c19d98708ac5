"""External features as a worker teaches and verifies them, with a null pool that was trained."""

from copy import deepcopy

import pytest

import tasks
from jobs.models import Job, SealedSecret
from ledger.selectors import trust
from ledger.services import ledger_sequence
from protection.features import feature_create
from protection.models import Protection
from registry import storage
from registry.services import commitment_create
from spellmark.certificates.verify import verify_files
from spellmark.evidence.transcript import read
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from spellmark.watermarks.external_feature import SCHEME, FeatureParameters, Style
from tasks import pool_growth
from tasks.record import Record
from tests.tasks.test_fingerprint_runs import (
    _steady,
    not_void,
    small,
    suspect_of,
    trained,
    version_of,
)
from verification import references, services
from verification.models import Exchange, Run
from verification.selectors import run_bundle

__all__ = ["_steady", "small"]

pytestmark = pytest.mark.slow

# The registry draws a binding and with it another style each time: this one learns any of them.
CARD = ModelCard(
    architecture="small-resnet", classes=10, channels=1, height=14, width=14, config={"width": 8}
)
PARAMETERS = FeatureParameters(classes=10, channels=1, height=14, width=14)
KEY = KeyFile(SCHEME, PARAMETERS.as_dict(), secret=b"\7" * 32, nonce=bytes(range(32)))


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch):
    """Fast to train, all of them, and as able as the owner's."""
    monkeypatch.setattr("tests.tasks.test_fingerprint_runs.CARD", CARD)
    others = tuple(("small-mlp", {"width": width}) for width in (64, 96, 128))
    monkeypatch.setattr(pool_growth, "OTHERS", others)


def grown(actor, version):
    job = references.pool_grow(
        actor=actor, version=version, dataset="small", images=600, of_a_kind=19, epochs=30
    )
    tasks.run_job(str(job.id))
    job.refresh_from_db()
    assert job.state == Job.State.SUCCEEDED, job.error


def taught(actor, version, **choices):
    """An external feature in a version."""
    commitment = commitment_create(
        actor=actor, version=version, digest=KEY.commitment(), scheme=KEY.scheme,
        parameters=KEY.parameters,
    )  # fmt: skip
    row = feature_create(
        actor=actor, commitment=commitment, key=KEY, dataset="small",
        **{"images": 1200, "epochs": 20, "share": 30} | choices,
    )  # fmt: skip
    tasks.run_job(str(row.job_id))
    row.refresh_from_db()
    assert not SealedSecret.objects.exists()
    ledger_sequence()
    return row


def ran(actor, row, suspect, **choices):
    run = services.run_create(actor=actor, suspect=suspect, protection=row, key=KEY, **choices)
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert run.job.state == Job.State.SUCCEEDED, run.job.error
    assert not SealedSecret.objects.exists()
    ledger_sequence()
    report = verify_files(run_bundle(run), trust())
    assert report.passed, report.checks
    assert {check.name: check.passed for check in report.checks}["statistic"]
    return run


@pytest.fixture
def one_style(monkeypatch):
    """The same style in every run: of sixteen that were drawn, half are so easily read through that
    innocents of this size come too close to the copy for a match. Of this one they know least."""
    style = Style.open(KEY, owner="13", binding=b"b" * 32)
    monkeypatch.setattr(Style, "open", lambda *_, **__: style)


@pytest.mark.usefixtures("one_style")
def test_a_copy_bears_the_style_and_innocents_do_not(alice_actor, tmp_path):
    version = version_of(alice_actor, trained(0), tmp_path)
    row = taught(alice_actor, version)
    assert row.job.state == Job.State.SUCCEEDED, row.job.error
    card = row.report_card
    assert card["accuracy_after"] > card["accuracy_before"] - 0.05
    assert card["styled_after"] > card["styled_before"] + 0.2
    assert card["scores"]["score"] > card["scores"]["control"] + 0.5
    rows = str([*Protection.objects.values(), *row.job.lines.values(), *Job.objects.values()])
    assert KEY.secret.hex() not in rows
    # A pool that stands against the version before stands against the one that learnt the style.
    grown(alice_actor, version)

    marked, _ = weights.load(storage.path_of(row.result.files.get().sha256))
    tuned = trained(50, slice(600, 1200), deepcopy(marked), epochs=2, learning_rate=3e-4)
    copy = suspect_of(alice_actor, tuned, tmp_path, "copy")
    innocent = suspect_of(alice_actor, trained(99), tmp_path, "innocent")

    run = not_void(ran, alice_actor, row, copy, probes=100)
    assert (run.method, run.evidence_class) == ("external-feature", "indicative")
    assert run.verdict == "match", run.reason
    assert run.p_value == 1 / 20
    assert run.exchanges.count() == 300 == 3 * run.answered_probes
    assert run.findings["control"]["score"] < run.score
    header, exchanges = read(run_bundle(run).transcript)
    assert KEY.secret.hex() not in str(header)
    # Probes come from the half of the test images that no reference learnt from.
    assert max(one.image_index for one in exchanges) < len(datasets.load("small").test) / 2
    found = not_void(ran, alice_actor, row, innocent, probes=100)
    assert found.verdict == "no match", found.reason
    again = {one.image_index for one in read(run_bundle(found).transcript)[1]}
    assert again != {one.image_index for one in exchanges}

    run = not_void(ran, alice_actor, row, copy, probes=100, method="external-feature-gradients")
    assert (run.verdict, run.evidence_class) == ("match", "indicative"), run.reason
    assert (run.exchanges.count(), run.answered_probes) == (0, 100)
    run = ran(alice_actor, row, innocent, probes=100, method="external-feature-gradients")
    assert run.verdict != "match", run.reason


def test_a_model_that_did_not_learn_its_style_is_refused(alice_actor, tmp_path):
    version = version_of(alice_actor, trained(0, slice(0, 200)), tmp_path)
    row = taught(alice_actor, version, epochs=1, images=100, share=10)
    assert row.job.state == Job.State.FAILED
    assert "did not learn the style" in row.job.error or "too much is lost" in row.job.error
    assert (row.result, row.report_card) == (None, None)


def test_a_lost_worker_asks_nothing_twice(alice_actor, tmp_path, monkeypatch):
    version = version_of(alice_actor, trained(0), tmp_path)
    row = taught(alice_actor, version)
    grown(alice_actor, version)
    suspect = suspect_of(alice_actor, trained(99), tmp_path, "innocent")
    run = services.run_create(
        actor=alice_actor, suspect=suspect, protection=row, key=KEY, probes=30
    )
    real = Record.conclude

    def conclude(self, exchange, answer):
        if exchange.number == 40:
            raise services.LeaseLostError
        real(self, exchange, answer)

    monkeypatch.setattr(Record, "conclude", conclude)
    tasks.run_job(str(run.job_id))
    monkeypatch.setattr(Record, "conclude", real)
    Job.objects.filter(id=run.job_id).update(state=Job.State.QUEUED, lease=None)
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert run.job.state == Job.State.SUCCEEDED, run.job.error
    states = list(Exchange.objects.filter(run=run).values_list("state", flat=True))
    assert states == ["lost" if number == 40 else "answered" for number in range(90)]
    # The probe of the lost question is left out in all three styles.
    assert Run.objects.get(id=run.id).answered_probes == 29
