import html
import re
import subprocess
from dataclasses import replace

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from ledger.models import Certificate, Revocation
from ledger.selectors import checkpoint_latest, trust
from ledger.services import entries_queue, ledger_sequence
from spellmark.certificates import merkle
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.policy import Policy
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.certificates.trust import Trust
from spellmark.certificates.verify import verify_files
from tests import factories
from tests.ledger.witnesses import witness
from tests.programs import need
from web.plots import path_picture, proof_steps

__all__ = ["witness"]


def text(response):
    return response.content.decode()


@pytest.fixture
def certificate_id(alice_actor):
    return factories.finished_protection(alice_actor).commitment.certificate_id


def test_a_registration_certificate_says_what_it_is_about(as_alice, certificate_id):
    page = text(as_alice.get(reverse("web:certificate", args=[certificate_id])))
    assert "Acme had registered version 1 of robin" in page
    assert "had committed to a key" in page
    assert factories.KEY.commitment() in page
    assert reverse("web:version", args=["robin", 1]) in page


def test_a_verdict_certificate_says_what_was_found(as_auditor, world):
    page = text(as_auditor.get(reverse("web:certificate", args=[world.run.certificate_id])))
    assert "<strong>match</strong>" in page
    assert reverse("web:run", args=[world.run.id]) in page


def test_the_registration_bundle_passes_the_offline_verifier(as_alice, certificate_id):
    got = as_alice.get(reverse("web:certificate-bundle", args=[certificate_id]))
    keys = Trust.loads(as_alice.get(reverse("web:trust")).content)
    assert keys == trust()
    assert verify_files(Bundle.loads(got.content), keys).passed


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["registration", "verdict"])
def test_the_openssl_lines_on_the_page_work(as_alice, world, tmp_path, kind):
    need("unzip", "jq", "openssl", "sed", "base64")
    certificate_id = {
        "registration": world.protection.commitment.certificate_id,
        "verdict": world.run.certificate_id,
    }[kind]
    page = text(as_alice.get(reverse("web:certificate", args=[certificate_id])))
    lines = re.search(r'<pre [^>]*id="openssl"[^>]*><code>(.*?)</code>', page, re.DOTALL)
    bundle = as_alice.get(reverse("web:certificate-bundle", args=[certificate_id])).content
    (tmp_path / "trust.json").write_bytes(as_alice.get(reverse("web:trust")).content)
    script = "set -e\n" + html.unescape(lines.group(1))

    def said_of(bundle: bytes) -> str:
        (tmp_path / "bundle.zip").write_bytes(bundle)
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
        return done.stdout + done.stderr

    assert said_of(bundle).endswith("Verified OK\n")
    true = Bundle.loads(bundle)
    letters = bytearray(true.certificate)
    place = letters.index(b'"payload":"') + 60
    letters[place] = ord("B") if letters[place] == ord("A") else ord("A")
    said = said_of(replace(true, certificate=bytes(letters)).dumps())
    assert "Verification failure" in said
    assert "Verified OK" not in said


def test_a_certificate_that_waits_for_the_log_says_so(as_alice, alice_actor, acme):
    version = factories.published_version(alice_actor)
    page = reverse("web:certificate", args=[version.certificate_id])
    assert "waits for its place" in text(as_alice.get(page))
    assert "openssl" not in text(as_alice.get(page))
    bundle = reverse("web:certificate-bundle", args=[version.certificate_id])
    assert as_alice.get(bundle).status_code == 409
    ledger_sequence()
    assert "openssl" in text(as_alice.get(page))
    assert as_alice.get(bundle).status_code == 200


def test_a_certificate_page_asks_for_the_witnesses_where_they_cosigned(
    as_alice, certificate_id, witness
):
    page = reverse("web:certificate", args=[certificate_id])
    # The policy is younger than the checkpoint still.
    assert "policy" not in text(as_alice.get(page))
    entries_queue(bodies=[b"{}"])
    ledger_sequence()
    said = text(as_alice.get(page))
    assert "--revocations revocations.json --policy policy.txt" in said
    assert f'data-policy="{reverse("web:policy")}"' in said
    bundle = Bundle.loads(
        as_alice.get(reverse("web:certificate-bundle", args=[certificate_id])).content
    )
    rules = Policy.loads(as_alice.get(reverse("web:policy")).content)
    report = verify_files(bundle, trust(), policy=rules)
    assert [check.passed for check in report.checks if check.name == "witnesses"] == [True]


def test_an_empty_log_says_what_comes_first(as_alice):
    assert "The ledger is empty" in text(as_alice.get("/ledger"))
    assert as_alice.get(reverse("web:checkpoint")).status_code == 404


def test_the_log_names_its_own_certificates_and_hides_those_of_others(
    as_alice, as_charlie, certificate_id
):
    assert "robin v1" in text(as_alice.get("/ledger"))
    page = text(as_charlie.get("/ledger"))
    assert "of another organisation" in page
    assert "robin" not in page


def test_an_entry_leads_to_the_root_of_the_checkpoint(as_alice, certificate_id):
    checkpoint = checkpoint_latest()
    for index in range(checkpoint.size):
        response = as_alice.get(reverse("web:entry", args=[index]))
        assert response.context["steps"][-1].parent == bytes(checkpoint.root).hex()
        assert bytes(checkpoint.root).hex() in text(response)
    assert as_alice.get(reverse("web:entry", args=[checkpoint.size])).status_code == 404


def test_downloads_are_the_files_themselves(as_alice, certificate_id):
    note = as_alice.get(reverse("web:checkpoint")).content
    assert note == bytes(checkpoint_latest().note)
    proof = as_alice.get(reverse("web:certificate-proof", args=[certificate_id])).content
    assert TlogProof.loads(proof).checkpoint == note
    body = as_alice.get(reverse("web:certificate-body", args=[certificate_id]))
    assert body["Content-Disposition"] == 'attachment; filename="certificate.sigstore.json"'


@given(st.data(), st.integers(1, 40))
def test_proof_steps_end_at_the_root(data, size):
    index = data.draw(st.integers(0, size - 1))
    leaves = [merkle.leaf_hash(b"%d" % number) for number in range(size)]
    nodes = {(l, i): h for l, i, h in merkle.extend(0, leaves, merkle.reader({}))}  # noqa: E741
    get = merkle.reader(nodes)
    hashes = merkle.inclusion_proof(index, size, get)
    steps = proof_steps(leaves[index], index, size, hashes)
    value = leaves[index].hex()
    for step, sibling in zip(steps, hashes, strict=True):
        ours, theirs = (step.left, step.right) if step.ours_is_left else (step.right, step.left)
        assert (ours, theirs) == (value, sibling.hex())
        value = step.parent
    assert value == merkle.root(size, get).hex()


@given(st.data())
def test_the_picture_shows_the_subtrees_of_the_proof(data):
    size = data.draw(st.integers(1, 5000))
    index = data.draw(st.integers(0, size - 1))
    picture = path_picture(index, size)
    count = len(merkle.inclusion_nodes(index, size))
    beside = [node for node in picture.nodes if node.role == "proof"]
    ours = [node for node in picture.nodes if node.role != "proof"]
    assert len(ours) == len(beside) + 1
    assert len(beside) <= count
    assert ours[-1].label == str(index)
    covered = {index}
    for node in beside:
        first, _, last = node.label.partition("–")
        part = set(range(int(first), int(last or first) + 1))
        assert not part & covered
        covered |= part
    assert covered == set(range(size))
    assert all(0 < n.x < picture.width and 0 < n.y < picture.height for n in picture.nodes)


def test_the_log_names_its_witnesses_and_who_cosigned(as_alice, certificate_id, witness):
    entries_queue(bodies=[b'{"kind":"x","sha256":"00"}'])
    ledger_sequence()
    page = text(as_alice.get(reverse("web:ledger")))
    assert "witness.example/w1" in page
    assert "w1, w1-ml-dsa" in page
    assert "not cosigned" not in page
    witness.stop()
    entries_queue(bodies=[b'{"kind":"x","sha256":"01"}'])
    ledger_sequence()
    page = text(as_alice.get(reverse("web:ledger")))
    assert "1 entry waits for that" in page


def test_an_entry_page_draws_the_way_and_hands_out_the_proof(as_alice, certificate_id):
    ledger_sequence()
    page = text(as_alice.get(reverse("web:entry", args=[0])))
    assert '<svg class="merkle-way"' in page
    proof = TlogProof.loads(as_alice.get(reverse("web:entry-proof", args=[0])).content)
    assert proof.index == 0


def revoke(client, certificate_id, **fields):
    address = reverse("web:certificate-revoke", args=[certificate_id])
    return client.post(address, {"reason": "The wrong version.", **fields}, follow=True)


def test_a_certificate_is_revoked_on_its_page(as_alice, as_viewer, as_charlie, certificate_id):
    page = reverse("web:certificate", args=[certificate_id])
    assert "Revoke or replace" in text(as_alice.get(page))
    assert "Revoke or replace" not in text(as_viewer.get(page))
    assert revoke(as_viewer, certificate_id).status_code == 403
    assert revoke(as_charlie, certificate_id).status_code == 404
    assert not Revocation.objects.exists()
    assert "This certificate is revoked: verifiers refuse it." in text(
        revoke(as_alice, certificate_id)
    )
    assert "Revoke or replace" not in text(as_alice.get(page))
    by = Revocation.objects.get().by
    said = text(as_alice.get(reverse("web:certificate", args=[by.id])))
    assert "The wrong version." in said
    assert "Revoke or replace" not in said
    again = text(revoke(as_alice, certificate_id))
    assert "This certificate is revoked already." in again
    assert revoke(as_alice, by.id).status_code == 200
    assert Revocation.objects.count() == 1


def test_a_certificate_is_replaced_by_a_later_one_of_its_kind(as_alice, alice_actor, as_charlie):
    first, second = (
        factories.published_version(alice_actor, name=name).certificate_id
        for name in ("robin", "wren")
    )
    later = str(second)
    page = text(as_alice.get(reverse("web:certificate", args=[first])))
    assert f'<option value="{later}">' in page
    assert "Replaced by" not in text(as_alice.get(reverse("web:certificate", args=[second])))
    assert "Select a valid choice" in text(revoke(as_alice, second, replaced_by=str(first)))
    assert "This field is required" in text(revoke(as_alice, first, reason=""))
    assert not Revocation.objects.exists()
    revoke(as_alice, first, replaced_by=later)
    by = Revocation.objects.get().by
    digest = Certificate.objects.get(id=second).digest
    said = text(as_alice.get(reverse("web:certificate", args=[by.id])))
    assert "It is replaced by the one with the digest" in said
    assert digest in said
