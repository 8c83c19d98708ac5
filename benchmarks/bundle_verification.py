"""How long the offline check of an evidence bundle takes after start-up; for `ledger_proofs.py`.

Verdicts are checked with everything that there can be: a witness and a policy that asks for it, a
timestamp of an authority (`openssl ts`), a list of revocations, all raw answers; no check may be
left out. A registration has no transcript, and is timed by itself.
"""

import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cryptography.hazmat.primitives.asymmetric import ec
from verdict_transcripts import CLASSES, TRANSCRIPTS, Recorded

from spellmark.certificates import certificate, checkpoints, entries, keys, merkle, timestamps
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.checkpoints import Checkpoint
from spellmark.certificates.notes import COSIGNATURE, Signer
from spellmark.certificates.policy import Policy, PolicyWitness
from spellmark.certificates.revocations import Revoked
from spellmark.certificates.statements import Registration, Revocation, Statement, Verdict
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.certificates.trust import CertificateKey, LogKey, Trust
from spellmark.certificates.verify import verify_bundle
from spellmark.evidence.recompute import recompute
from tests.timestamp_authority import TimestampAuthority

ORIGIN = "benchmark.example/log"
LEAVES, REVOCATIONS, TURNS = 1_000, 100, 50


def verify_ms() -> dict[str, float]:
    """Median milliseconds of `verify_bundle` on zips in a log of a thousand entries, by figure.

    Reading the zip from disk is part of it; importing the library is not.
    """
    with _issuer() as issuer:
        taken = {
            f"verify_{name}_ms": issuer.verdict_ms(write()) for name, write in TRANSCRIPTS.items()
        }
        return {
            "verify_ms": max(taken.values()),
            **taken,
            "verify_registration_ms": issuer.registration_ms(),
        }


@dataclass(frozen=True)
class _Issuer:
    """A registry with its log, a witness and a timestamp authority."""

    folder: Path
    authority: TimestampAuthority
    key: ec.EllipticCurvePrivateKey
    log: Signer
    witness: Signer
    now: datetime

    def verdict_ms(self, recorded: Recorded) -> float:
        body, proof = self._issue(_verdict(recorded.lines, self.now))
        envelope = certificate.loads(body)
        stamp = self.authority.respond(timestamps.request(envelope.signature))
        body = certificate.dumps(envelope, [stamp])
        policy = Policy(witnesses=(PolicyWitness("w", self.witness.verifier),), quorum="w")
        bundle = Bundle(body, proof, recorded.lines, recorded.answers)
        return self._time(bundle, self._revoked(), policy, complete=True)

    def registration_ms(self) -> float:
        return self._time(Bundle(*self._issue(_registration(self.now))), complete=False)

    def _time(
        self,
        bundle: Bundle,
        revoked: list[Revoked] | None = None,
        policy: Policy | None = None,
        *,
        complete: bool,
    ) -> float:
        path, trust = self.folder / "bundle.zip", self._trust()
        bundle.save(path)
        report = verify_bundle(path, trust, revoked, policy)
        assert report.passed, report.checks
        assert not complete or all(check.passed for check in report.checks), report.checks
        times = []
        for _ in range(TURNS):
            start = time.perf_counter()
            verify_bundle(path, trust, revoked, policy)
            times.append(time.perf_counter() - start)
        return round(1000 * statistics.median(times), 3)

    def _issue(self, statement: Statement) -> tuple[bytes, bytes]:
        """The certificate and its proof; it is the last entry of the log."""
        body = certificate.issue(statement, self.key)
        entry = entries.certificate_entry(certificate.loads(body))
        leaves = [merkle.leaf_hash(b"%d" % number) for number in range(LEAVES - 1)]
        leaves.append(merkle.leaf_hash(entry))
        added = merkle.extend(0, leaves, merkle.reader({}))
        read = merkle.reader({(level, index): value for level, index, value in added})
        signed = Checkpoint(ORIGIN, LEAVES, merkle.root(LEAVES, read))
        note = checkpoints.sign(signed, [self.log, self.witness])
        hashes = merkle.inclusion_proof(LEAVES - 1, LEAVES, read)
        return body, TlogProof(LEAVES - 1, hashes, note).dumps()

    def _revoked(self) -> list[Revoked]:
        """Of other certificates."""
        digests = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(REVOCATIONS)]
        return [
            Revoked(*self._issue(Revocation(digest, "Registered by mistake.", None, self.now)))
            for digest in digests
        ]

    def _trust(self) -> Trust:
        begin = self.now - timedelta(days=1)
        return Trust(
            (CertificateKey(self.key.public_key(), begin, None),),
            (LogKey(ORIGIN, self.log.verifier, begin, None),),
            (self.authority.pem,),
        )


@contextmanager
def _issuer() -> Iterator[_Issuer]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield _Issuer(
            folder,
            TimestampAuthority(folder / "tsa"),
            keys.generate_p256(),
            Signer(ORIGIN, keys.generate_ed25519()),
            Signer("witness.example/w", keys.generate_ed25519(), COSIGNATURE),
            datetime.now(UTC),
        )


def _verdict(lines: bytes, now: datetime) -> Verdict:
    """What a transcript gives, as a certificate."""
    found = recompute(lines)
    return Verdict(
        model_digest="11" * 32,
        transcript_digest=hashlib.sha256(lines).hexdigest(),
        suspect={"kind": "open-inference", "url": "https://suspect.example/v2/models/finch"},
        method=found["method"],
        scheme="benchmark/v1",
        parameters={"classes": CLASSES, **found["told"]},
        evidence_class=found["evidenceClass"],
        statistic=found["statistic"],
        p_value=found["pValue"],
        alpha=found["alpha"],
        smallest_p=found["smallestP"],
        decoys=0,
        probes=found["queries"],
        queries=found["queries"],
        access_level="probabilities",
        verdict=found["verdict"],
        reason="As its transcript gives it.",
        registration_index=0,
        registration_digest=None,
        started_at=now - timedelta(minutes=5),
        finished_at=now,
        limits=("The suspect was made up.",),
    )


def _registration(now: datetime) -> Registration:
    return Registration(
        model_digest="11" * 32,
        model_name="robin",
        version=1,
        organisation="Acme",
        commitment="22" * 32,
        binding="33" * 32,
        scheme="key-lock/v1",
        parameters={"block": 4},
        registered_at=now,
    )


if __name__ == "__main__":
    for figure, milliseconds in verify_ms().items():
        print(f"{figure:<24}{milliseconds:>10}")
