import hashlib
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spellmark.certificates import certificate, notes
from spellmark.certificates.policy import PolicyLog
from spellmark.certificates.timestamps import CLOCK_SKEW
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.certificates.trust import CertificateKey, LogKey, Trust
from spellmark.certificates.verify import CHECKS, verify_bundle, verify_files
from spellmark.errors import SpellmarkError
from tests.spellmark.certificates.certificate_samples import (
    ALICE,
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
    TRANSCRIPT,
    TRUST,
    VERDICT,
    WITNESS,
    YEAR_END,
    YEAR_START,
    bundle_of,
)

pytestmark = pytest.mark.usefixtures("transcript_module")

BUNDLE = bundle_of(VERDICT)


def failures(bundle, trust=TRUST):
    """What went wrong, by the name of the step; the report must not have passed."""
    report = verify_files(bundle, trust)
    assert not report.passed
    assert [check.name for check in report.checks] == list(CHECKS)
    assert all(check.detail.endswith((".", "…")) for check in report.checks)
    return {check.name: check.detail for check in report.checks if check.passed is False}


def test_it_accepts_a_true_verdict(tmp_path):
    BUNDLE.save(tmp_path / "bundle.zip")
    report = verify_bundle(tmp_path / "bundle.zip", TRUST)
    assert report.passed
    assert [(check.name, check.passed) for check in report.checks] == [
        (n, None if n in ("witnesses", "timestamp", "revocation") else True) for n in CHECKS
    ]
    assert report.statement == VERDICT
    log = next(check for check in report.checks if check.name == "log")
    assert "entry 5 of the log alice.example/log, which had 7 entries" in log.detail


def test_it_accepts_a_true_registration():
    report = verify_files(bundle_of(REGISTRATION), TRUST)
    assert report.passed
    assert report.statement == REGISTRATION
    assert report.checks[-1].passed is None


def test_it_accepts_a_checkpoint_that_others_signed_too():
    assert verify_files(bundle_of(VERDICT, NEXT_LOG, LOG, WITNESS), TRUST).passed
    bundle = bundle_of(VERDICT, *SIGNERS)
    assert len(notes.parse(TlogProof.loads(bundle.proof).checkpoint).signatures) == len(SIGNERS)
    assert verify_files(bundle, TRUST).passed


def test_other_lines_do_not_replace_the_logs_own():
    others = [signer for signer in SIGNERS if signer is not LOG]
    assert list(failures(bundle_of(VERDICT, *others))) == ["log"]


def test_an_ml_dsa_key_of_the_trust_file_is_checked_too():
    trust = replace(TRUST, log_keys=(*TRUST.log_keys, LogKey(ORIGIN, LOG_ML_DSA.verifier)))
    assert verify_files(bundle_of(VERDICT, LOG_ML_DSA), trust).passed
    bundle = bundle_of(VERDICT, LOG, LOG_ML_DSA)
    assert verify_files(bundle, trust).passed
    false = bytearray(bundle.proof)
    false[-10] ^= 1
    assert list(failures(replace(bundle, proof=bytes(false)), trust)) == ["log"]


def test_raw_answers_may_be_left_out():
    report = verify_files(replace(BUNDLE, answers={}, probes={}), TRUST)
    assert report.passed
    some = replace(BUNDLE, answers=dict(list(ANSWERS.items())[:1]))
    assert verify_files(some, TRUST).passed


def test_it_is_fast(tmp_path):
    BUNDLE.save(tmp_path / "bundle.zip")
    verify_bundle(tmp_path / "bundle.zip", TRUST)

    def timed() -> float:
        start = time.process_time()
        verify_bundle(tmp_path / "bundle.zip", TRUST)
        return time.process_time() - start

    assert min(timed() for _ in range(5)) < 0.05


def refused(change):
    return not verify_files(replace(BUNDLE, **change), TRUST).passed


@pytest.mark.parametrize("name", ["certificate", "proof", "transcript"])
def test_it_refuses_every_altered_byte(name):
    data = getattr(BUNDLE, name)
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 1 << place % 8
        assert refused({name: bytes(altered)}), f"byte {place}"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["certificate", "proof", "transcript"]),
    st.integers(0, 10_000),
    st.integers(1, 255),
)
def test_it_refuses_any_change_of_a_byte(name, place, change):
    altered = bytearray(getattr(BUNDLE, name))
    altered[place % len(altered)] ^= change
    assert refused({name: bytes(altered)})


def test_every_altered_byte_of_the_zip_is_refused(tmp_path):
    data = BUNDLE.dumps()
    path = tmp_path / "bundle.zip"
    for place in range(0, len(data), 7):
        altered = bytearray(data)
        altered[place] ^= 0x20
        path.write_bytes(bytes(altered))
        report = verify_bundle(path, TRUST)
        assert not report.passed
        assert [check.name for check in report.checks] == ["bundle"]


def test_it_says_that_the_content_was_altered_after_signing():
    other = certificate.loads(certificate.issue(replace(VERDICT, p_value=2e-7), ALICE))
    mine = certificate.loads(BUNDLE.certificate)
    forged = certificate.dumps(replace(mine, payload=other.payload))
    found = failures(replace(BUNDLE, certificate=forged))
    assert "does not fit its content: it was altered after signing" in found["signature"]
    assert "does not lead from the entry to the root" in found["log"]
    assert set(found) == {"signature", "log"}


def test_a_later_step_is_still_taken_when_an_earlier_one_fails():
    found = failures(replace(BUNDLE, transcript=b"{}\n", answers={}), replace(TRUST, log_keys=()))
    assert set(found) == {"log", "transcript"}


def test_it_refuses_charlies_certificate_for_alices_model():
    found = failures(bundle_of(VERDICT, key=CHARLIE))
    assert "not signed by a trusted key" in found["signature"]
    assert set(found) == {"signature", "validity"}


@pytest.mark.parametrize(
    ("start", "end"),
    [(VERDICT.started_at, VERDICT.started_at), (YEAR_END, None), (YEAR_START, YEAR_START)],
)
def test_it_refuses_a_certificate_from_outside_the_time_of_its_key(start, end):
    trust = replace(TRUST, certificate_keys=(CertificateKey(ALICE.public_key(), start, end),))
    found = failures(BUNDLE, trust)
    assert "its key is valid from" in found["validity"]
    assert set(found) == {"validity"}


def test_it_refuses_a_certificate_without_a_readable_statement():
    class Nonsense:
        def dumps(self) -> bytes:
            return b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"x"}'

    forged = certificate.issue(Nonsense(), ALICE)
    found = failures(replace(BUNDLE, certificate=forged))
    assert "predicateType" in found["statement"]


def test_it_refuses_a_log_that_is_not_trusted():
    trust = Trust(TRUST.certificate_keys, (LogKey("b.example/log", LOG.verifier),))
    assert "not among the trusted logs" in failures(BUNDLE, trust)["log"]


def test_it_refuses_a_checkpoint_that_the_log_did_not_sign():
    assert "No trusted key" in failures(bundle_of(VERDICT, WITNESS))["log"]
    trust = Trust(TRUST.certificate_keys, (LogKey(ORIGIN, NEXT_LOG.verifier),))
    assert "No trusted key" in failures(BUNDLE, trust)["log"]


def test_it_refuses_a_checkpoint_by_a_key_that_had_ended_before_the_certificate():
    def trust(change):
        old = LogKey(ORIGIN, LOG.verifier, YEAR_START, change)
        new = LogKey(ORIGIN, NEXT_LOG.verifier, change, None)
        return replace(TRUST, log_keys=(old, new))

    change = VERDICT.finished_at - CLOCK_SKEW
    assert verify_files(BUNDLE, trust(change)).passed
    earlier = trust(change - timedelta(microseconds=1))
    assert "No trusted key" in failures(BUNDLE, earlier)["log"]
    assert verify_files(bundle_of(VERDICT, NEXT_LOG), earlier).passed
    # What was stated before the change may stand under a checkpoint of either key.
    for signer in (LOG, NEXT_LOG):
        assert verify_files(bundle_of(REGISTRATION, signer), earlier).passed


def test_it_refuses_the_proof_of_another_certificate():
    other = bundle_of(REGISTRATION)
    assert set(failures(replace(BUNDLE, proof=other.proof))) == {"log"}


@pytest.mark.parametrize("index", [5, 6])
def test_it_refuses_a_claim_that_is_older_than_its_registration(index):
    found = failures(bundle_of(replace(VERDICT, registration_index=index)))
    assert "older than its registration" in found["log"]


def test_it_refuses_a_verdict_without_its_transcript():
    found = failures(replace(BUNDLE, transcript=None, answers={}))
    assert "missing" in found["transcript"]


def test_it_refuses_a_registration_with_a_transcript():
    found = failures(bundle_of(REGISTRATION, transcript=TRANSCRIPT))
    assert "holds one" in found["transcript"]


def test_it_refuses_an_altered_raw_answer():
    name = min(ANSWERS)
    found = failures(replace(BUNDLE, answers={**ANSWERS, name: b"altered"}))
    assert found == {"answers": f"The raw answer {name[:16]}… was altered."}


def test_it_refuses_a_raw_answer_that_nobody_gave():
    raw = b"invented"
    name = hashlib.sha256(raw).hexdigest()
    found = failures(replace(BUNDLE, answers={**ANSWERS, name: raw}))
    assert "knows of no raw answer" in found["answers"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"statistic": 2.6}, "statistic 2.5, but its transcript gives 2.6"),
        ({"statistic": None}, "statistic 2.5, but its transcript gives None"),
        ({"pValue": 1e-3}, "pValue 1e-07, but its transcript gives 0.001"),
        ({"queries": 3}, "2 queries, but its transcript has 3"),
        ({"verdict": "no match"}, "'match', but its transcript gives 'no match'"),
        ({"told": {"rate": 0.1}}, "The certificate's rate is not the one"),
        ({"told": {"owner": "marian"}}, "The certificate's owner is not the one"),
        ({"evidenceClass": "indicative"}, "evidence verified, but a run by 'random-key-test' is"),
    ],
)
def test_it_refuses_numbers_that_the_transcript_does_not_give(transcript_module, change, why):
    transcript_module.statistic = transcript_module.statistic | change
    assert why in failures(BUNDLE)["statistic"]


def test_the_last_digits_of_a_sum_may_differ(transcript_module):
    transcript_module.statistic["statistic"] = 2.5 * (1 + 1e-12)
    assert verify_files(BUNDLE, TRUST).passed


def test_an_inconclusive_run_has_no_numbers_to_compare(transcript_module):
    transcript_module.statistic.update(statistic=None, pValue=None, verdict="inconclusive")
    verdict = replace(VERDICT, verdict="inconclusive", statistic=None, p_value=None)
    assert verify_files(bundle_of(verdict), TRUST).passed


@pytest.mark.parametrize("error", [SpellmarkError("Line 2 is cut off."), KeyError("answer")])
def test_it_tells_of_a_transcript_that_cannot_be_read(transcript_module, error):
    def fail(lines: bytes) -> None:
        raise error

    transcript_module.read = fail
    found = failures(BUNDLE)
    assert set(found) == {"answers", "statistic"}
    assert "cut off" in found["answers"] or "not written as Spellmark" in found["answers"]


def test_nothing_is_recomputed_from_a_transcript_that_nobody_vouches_for(transcript_module):
    def never(header: object, exchanges: object) -> None:
        raise AssertionError("a stranger's transcript was computed with")

    transcript_module.recompute_read = never
    assert "statistic" not in failures(bundle_of(VERDICT, key=CHARLIE))
    assert "statistic" not in failures(replace(BUNDLE, transcript=TRANSCRIPT + b"\n", answers={}))


def test_other_methods_are_said_not_to_be_recomputed(transcript_module):
    report = verify_files(bundle_of(replace(VERDICT, method="another-method")), TRUST)
    assert report.passed
    assert report.checks[-1].passed is None
    assert "'another-method' cannot be recomputed" in report.checks[-1].detail


def test_it_says_that_a_bundle_is_missing(tmp_path):
    report = verify_bundle(tmp_path / "none.zip", TRUST)
    assert not report.passed
    assert "cannot be read" in report.checks[0].detail
    assert report.statement is None


def witnessed(*signers, policy=POLICY, trust=TRUST):
    """What the check of the witnesses says of a bundle whose checkpoint these signed."""
    report = verify_files(bundle_of(REGISTRATION, *signers), trust, policy=policy)
    [check] = [check for check in report.checks if check.name == "witnesses"]
    assert report.passed == (check.passed is not False)
    return check


def test_the_quorum_of_a_policy_must_have_cosigned():
    for signers in ([LOG, COSIGNER, DORA], [LOG, ML_DSA_COSIGNER, DORA, NEXT_LOG]):
        check = witnessed(*signers)
        assert check.passed
        assert "dora cosigned the checkpoint of 7 entries" in check.detail
    for signers in ([LOG], [LOG, DORA], [LOG, COSIGNER, ML_DSA_COSIGNER], [LOG, WITNESS, DORA]):
        check = witnessed(*signers)
        assert check.passed is False
        assert "the quorum both is not reached by" in check.detail


def test_without_a_policy_or_a_quorum_nothing_is_said_of_witnesses():
    for policy in (None, replace(POLICY, quorum="none")):
        assert witnessed(LOG, COSIGNER, DORA, policy=policy).passed is None


def test_the_logs_of_a_policy_count_where_it_names_any():
    signers = (LOG, COSIGNER, DORA)
    other = replace(POLICY, logs=(PolicyLog(NEXT_LOG.verifier),))
    assert witnessed(*signers, policy=other).passed is False
    assert witnessed(*signers, policy=replace(POLICY, logs=())).passed


def test_a_false_cosignature_is_refused():
    bundle = bundle_of(REGISTRATION, LOG, COSIGNER, DORA)
    line = DORA.line(b"another text")
    proof = bundle.proof[: bundle.proof.rindex("— dora".encode())] + line
    report = verify_files(replace(bundle, proof=proof), TRUST, policy=POLICY)
    assert [check.name for check in report.checks if check.passed is False] == ["witnesses"]
