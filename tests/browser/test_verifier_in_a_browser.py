"""The single-page verifier, opened from a disk: it must say what `spellmark verify` says."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import expect

from spellmark.certificates import certificate, keys, revocations
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.encoding import to_json
from spellmark.certificates.errors import FormatError
from spellmark.certificates.policy import Policy, PolicyLog
from spellmark.certificates.timestamps import CLOCK_SKEW
from spellmark.certificates.trust import LogKey
from tests.browser.verifier_page import agree, changed, emptied, own_session, told_by_page, verifier
from tests.spellmark.certificates.certificate_samples import (
    ANSWERS,
    CHARLIE,
    COSIGNER,
    DORA,
    LOG,
    LOG_ML_DSA,
    ML_DSA_COSIGNER,
    NEXT_LOG,
    ORIGIN,
    POLICY,
    REGISTRATION,
    SIGNERS,
    TRUST,
    WITNESS,
    bundle_of,
)
from tests.spellmark.certificates.test_revocations import REVOCATION
from tests.spellmark.certificates.test_schemas import SUCCESSION
from tests.spellmark.certificates.test_verify_transcript import real_bundle

__all__ = ["emptied", "own_session", "verifier"]

pytestmark = pytest.mark.browser


def test_true_bundles_are_accepted(verifier, tmp_path):
    for bundle in (
        real_bundle("random-key-test"),
        bundle_of(REGISTRATION),
        bundle_of(REGISTRATION, NEXT_LOG, LOG, WITNESS),
        bundle_of(REGISTRATION, *SIGNERS),
        bundle_of(REVOCATION),
        bundle_of(SUCCESSION),
    ):
        assert agree(verifier, tmp_path, bundle.dumps()) == set()


def test_every_kind_of_altered_bundle_is_refused_with_the_same_words(verifier, tmp_path):
    verdict, registration = real_bundle("random-key-test"), bundle_of(REGISTRATION)
    mine = certificate.loads(verdict.certificate)
    other = certificate.loads(registration.certificate)
    late = replace(REGISTRATION, registered_at=datetime(2031, 1, 1, tzinfo=UTC))
    raw = b'{"label": 7}'
    cases: dict[str, tuple[Bundle, set[str]]] = {
        "payload": (
            replace(verdict, certificate=certificate.dumps(replace(mine, payload=other.payload))),
            {"signature", "log", "transcript"},
        ),
        "signature": (
            replace(
                verdict,
                certificate=certificate.dumps(
                    replace(mine, signature=changed(mine.signature, len(mine.signature) - 1))
                ),
            ),
            {"signature"},
        ),
        "layout": (
            replace(
                verdict, certificate=json.dumps(json.loads(verdict.certificate), indent=1).encode()
            ),
            {"signature"},
        ),
        "stranger": (bundle_of(REGISTRATION, key=CHARLIE), {"signature", "validity"}),
        "too late": (bundle_of(late), {"validity"}),
        "proof of another": (replace(registration, proof=verdict.proof), {"log"}),
        "proof": (replace(verdict, proof=changed(verdict.proof, 40)), {"log"}),
        "checkpoint": (
            replace(
                verdict,
                proof=verdict.proof.replace(b"alice.example/log\n7", b"alice.example/log\n8"),
            ),
            {"log"},
        ),
        "unknown log key": (bundle_of(REGISTRATION, NEXT_LOG), {"log"}),
        "cosigned only": (
            bundle_of(REGISTRATION, *(one for one in SIGNERS if one is not LOG)),
            {"log"},
        ),
        "too many signatures": (
            replace(
                registration,
                proof=registration.proof + WITNESS.line(b"") * 100,
            ),
            {"log"},
        ),
        "transcript": (
            replace(verdict, transcript=(verdict.transcript or b"") + b"{}\n"),
            {"transcript"},
        ),
        "no transcript": (replace(verdict, transcript=None), {"transcript"}),
        "stray transcript": (
            replace(registration, transcript=verdict.transcript),
            {"transcript"},
        ),
        "answer": (replace(verdict, answers={"ab" * 32: raw}), {"answers"}),
        "stray answer": (
            replace(verdict, answers=ANSWERS),
            {"answers"},
        ),
        "garbage certificate": (replace(verdict, certificate=b"{}"), {"signature"}),
        "garbage proof": (replace(verdict, proof=b"\xff\n\n"), {"log"}),
    }
    for name, (bundle, failing) in cases.items():
        assert failing <= agree(verifier, tmp_path, bundle.dumps()), name


def test_a_trust_file_may_name_a_key_that_browsers_cannot_check(verifier, tmp_path):
    log_keys = (*TRUST.log_keys, LogKey(ORIGIN, LOG_ML_DSA.verifier))
    replace(TRUST, log_keys=log_keys).save(tmp_path / "trust.json")
    passed, _ = told_by_page(verifier, tmp_path, bundle_of(REGISTRATION, *SIGNERS).dumps())
    assert passed
    passed, found = told_by_page(verifier, tmp_path, bundle_of(REGISTRATION, LOG_ML_DSA).dumps())
    assert not passed
    assert found["log"] is False


class ForgedSuccession:
    """One that its own writer would refuse."""

    def __init__(self, keyid: str, public_key: str) -> None:
        self.value = json.loads(SUCCESSION.dumps())
        self.value["subject"][0]["digest"]["sha256"] = keyid
        self.value["predicate"]["publicKey"] = public_key

    def dumps(self) -> bytes:
        return to_json(self.value)


def test_a_succession_is_bound_to_the_key_that_it_holds(verifier, tmp_path):
    other, p384 = CHARLIE.public_key(), ec.generate_private_key(ec.SECP384R1()).public_key()
    for keyid, public_key in (
        (keys.keyid(other), SUCCESSION.public_key),
        (SUCCESSION.keyid, keys.public_pem(other)),
        (keys.keyid(p384), keys.public_pem(p384)),
        (SUCCESSION.keyid, "no key"),
    ):
        bundle = bundle_of(ForgedSuccession(keyid, public_key))
        assert agree(verifier, tmp_path, bundle.dumps()) == {"statement"}
    true = ForgedSuccession(keys.keyid(other), keys.public_pem(other))
    assert agree(verifier, tmp_path, bundle_of(true).dumps()) == set()


def test_a_log_key_counts_for_nothing_that_was_stated_after_its_end(verifier, tmp_path):
    stated_at, moment = REGISTRATION.registered_at, timedelta(microseconds=1)
    bundle = bundle_of(REGISTRATION).dumps()
    (key,) = TRUST.log_keys
    key = replace(key, valid_from=stated_at - timedelta(days=9))
    for valid_until, failing in (
        (None, set()),
        (stated_at - CLOCK_SKEW, set()),
        (stated_at - CLOCK_SKEW - moment, {"log"}),
    ):
        trust = replace(TRUST, log_keys=(replace(key, valid_until=valid_until),))
        assert agree(verifier, tmp_path, bundle, trust=trust) == failing


def test_altered_zips_are_refused(verifier, tmp_path):
    data = bundle_of(REGISTRATION).dumps()
    for place in (*range(0, len(data), 151), len(data) - 1):
        assert agree(verifier, tmp_path, changed(data, place)) == {"bundle"}
    for other in (data[:-1], data + b"\0", data[:100], b"PK", b"PK" + data):
        assert agree(verifier, tmp_path, other) == {"bundle"}


def test_a_revocation_is_honoured_in_the_bundle_and_in_the_list(verifier, tmp_path):
    bundle = bundle_of(REGISTRATION)
    true = bundle_of(REVOCATION)
    rows = [revocations.Revoked(true.certificate, true.proof)]
    (tmp_path / "revocations.json").write_bytes(revocations.dumps(rows))
    inside = replace(bundle, revocations=revocations.dumps(rows))
    assert agree(verifier, tmp_path, inside.dumps()) == {"revocation"}
    expect(verifier.locator("[data-verdict]")).to_contain_text("It fails at: revocation.")
    expect(verifier.get_by_text("The wrong version was registered.")).to_be_visible()
    assert agree(verifier, tmp_path, bundle.dumps(), rows) == {"revocation"}
    false = bundle_of(REVOCATION, key=CHARLIE)
    forged = [revocations.Revoked(false.certificate, false.proof)]
    inside = replace(bundle, revocations=revocations.dumps(forged))
    assert agree(verifier, tmp_path, inside.dumps(), rows) == {"revocation"}


def test_the_quorum_of_a_policy_must_have_cosigned(verifier, tmp_path):
    def failing(*signers, policy=POLICY, proof=None) -> set[str]:
        bundle = bundle_of(REGISTRATION, *signers)
        bundle = replace(bundle, proof=(proof or bytes)(bundle.proof))
        return agree(verifier, tmp_path, bundle.dumps(), policy=policy)

    assert failing(LOG, COSIGNER, DORA) == set()
    assert failing(LOG, COSIGNER, DORA, policy=replace(POLICY, logs=())) == set()
    other = replace(POLICY, logs=(PolicyLog(NEXT_LOG.verifier),))
    assert failing(LOG, COSIGNER, DORA, policy=other) == {"witnesses"}
    assert failing(LOG, policy=replace(POLICY, quorum="none")) == set()
    for signers in ([LOG], [LOG, DORA], [LOG, WITNESS, DORA], [LOG, COSIGNER]):
        assert failing(*signers) == {"witnesses"}
    false = DORA.line(b"another text")
    assert failing(
        LOG, COSIGNER, DORA, proof=lambda proof: proof[: proof.rindex("— dora".encode())] + false
    ) == {"witnesses"}
    # The command accepts this one; a browser cannot, and says so.
    bundle = bundle_of(REGISTRATION, LOG, ML_DSA_COSIGNER, DORA)
    passed, found = told_by_page(verifier, tmp_path, bundle.dumps(), "policy.txt")
    assert not passed
    assert found["witnesses"] is False
    expect(verifier.get_by_text("A browser cannot check bob-ml-dsa")).to_be_visible()


def test_a_policy_that_does_not_read_is_refused(verifier, tmp_path):
    witness = f"witness w1 {COSIGNER.verifier.vkey}\n"
    for text in (
        "quorum\n",
        "quorum w1\n",
        "quorum none\nquorum none\n",
        witness,
        f"log {COSIGNER.verifier.vkey}\nquorum none\n",
        f"{witness}{witness.replace('w1', 'w2')}quorum none\n",
        f"{witness}group none any w1\nquorum none\n",
        f"{witness}group g 2 w1\nquorum g\n",
        f"{witness}group g 1 w1 w1\nquorum g\n",
        f"{witness}group g 1 w2\nquorum g\n",
        f"{witness.replace('bob', 'rob')}quorum w1\n",
    ):
        with pytest.raises(FormatError):
            Policy.loads(text.encode())
        (tmp_path / "policy.txt").write_text(text)
        (tmp_path / "bundle.zip").write_bytes(bundle_of(REGISTRATION, LOG, COSIGNER).dumps())
        names = ["trust.json", "policy.txt", "bundle.zip"]
        verifier.evaluate("document.querySelector('[data-verdict]').textContent = ''")
        verifier.set_input_files("input[type=file]", [tmp_path / name for name in names])
        said = verifier.locator("[data-verdict].bad")
        expect(said).to_contain_text(re.compile("policy|vkey"))
