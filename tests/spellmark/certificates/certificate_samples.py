"""A small world for the certificate tests: Alice's registry, its log, and a bundle of each kind."""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spellmark.certificates import certificate, checkpoints, entries, keys, merkle
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.checkpoints import Checkpoint
from spellmark.certificates.notes import COSIGNATURE, ML_DSA_44, Signer
from spellmark.certificates.policy import Group, Policy, PolicyLog, PolicyWitness
from spellmark.certificates.statements import Registration, Statement, Verdict
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.certificates.trust import CertificateKey, LogKey, Trust

ORIGIN = "alice.example/log"
ALICE = ec.derive_private_key(0xA11CE, ec.SECP256R1())
CHARLIE = ec.derive_private_key(0xC4A511E, ec.SECP256R1())
LOG = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"a" * 32))
NEXT_LOG = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"b" * 32))
LOG_ML_DSA = Signer(ORIGIN, keys.generate_ml_dsa_44(), ML_DSA_44)
WITNESS = Signer("bob.example/witness", Ed25519PrivateKey.from_private_bytes(b"w" * 32))
COSIGNER = replace(WITNESS, kind=COSIGNATURE)
ML_DSA_COSIGNER = Signer("bob.example/witness", LOG_ML_DSA.private_key, ML_DSA_44)
# As the log publishes checkpoints: while it changes its key, with all that witnesses add.
SIGNERS = (NEXT_LOG, LOG, LOG_ML_DSA, COSIGNER, ML_DSA_COSIGNER)

YEAR_START = datetime(2026, 1, 1, tzinfo=UTC)
YEAR_END = datetime(2026, 12, 31, tzinfo=UTC)
TRUST = Trust(
    (CertificateKey(ALICE.public_key(), YEAR_START, YEAR_END),), (LogKey(ORIGIN, LOG.verifier),)
)
# Of a log that changed its key at the end of the year, and of another one.
LOG_KEYS = (
    LogKey(ORIGIN, LOG.verifier, YEAR_START, YEAR_END),
    LogKey(ORIGIN, NEXT_LOG.verifier, YEAR_END, None),
    LogKey("b.example", WITNESS.verifier),
)
# Bob's witness has two keys, of which one is enough, and Dora's must cosign, too.
DORA = Signer("dora.example/witness", Ed25519PrivateKey.from_private_bytes(b"d" * 32), COSIGNATURE)
POLICY = Policy(
    (PolicyLog(LOG.verifier),),
    (
        PolicyWitness("bob", COSIGNER.verifier),
        PolicyWitness("bob-ml-dsa", ML_DSA_COSIGNER.verifier),
        PolicyWitness("dora", DORA.verifier),
    ),
    (Group("bobs", 1, ("bob", "bob-ml-dsa")), Group("both", 2, ("bobs", "dora"))),
    "both",
)

ANSWERS = {hashlib.sha256(raw).hexdigest(): raw for raw in (b'{"label": 1}', b'{"label": 2}')}
TRANSCRIPT = b"".join(json.dumps({"answer": name}).encode() + b"\n" for name in ANSWERS)

REGISTRATION = Registration(
    model_digest="11" * 32,
    model_name="robin",
    version=3,
    organisation="Alice’s Birds",
    commitment="22" * 32,
    binding="33" * 16,
    scheme="dynamic/v1",
    parameters={"rate": 0.05},
    registered_at=datetime(2026, 2, 1, 12, tzinfo=UTC),
)
VERDICT = Verdict(
    model_digest="11" * 32,
    transcript_digest=hashlib.sha256(TRANSCRIPT).hexdigest(),
    suspect={"kind": "open-inference", "url": "https://charlie.example/v2/models/finch"},
    method="random-key-test",
    scheme="dynamic/v1",
    parameters={"rate": 0.05},
    evidence_class="verified",
    statistic=2.5,
    p_value=1e-7,
    alpha=1e-6,
    smallest_p=1e-7,
    decoys=9_999_999,
    probes=2,
    queries=2,
    access_level="label",
    verdict="match",
    reason="The true key fits the answers better than every decoy.",
    registration_index=2,
    registration_digest="44" * 32,
    started_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    finished_at=datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC),
    limits=("Says nothing on who copied the model.",),
)


@dataclass
class Tree:
    """A log in memory: its nodes, as a database would store them."""

    nodes: dict[tuple[int, int], bytes]
    size: int = 0

    @classmethod
    def of(cls, *log_entries: bytes) -> "Tree":
        tree = cls({})
        for entry in log_entries:
            tree.add(entry)
        return tree

    def get(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]

    def add(self, entry: bytes) -> None:
        for level, index, value in merkle.append(self.size, merkle.leaf_hash(entry), self.get):
            assert (level, index) not in self.nodes
            self.nodes[level, index] = value
        self.size += 1

    def checkpoint(self, *signers: Signer) -> bytes:
        root = merkle.root(self.size, self.get)
        return checkpoints.sign(Checkpoint(ORIGIN, self.size, root), signers or [LOG])

    def proof(self, index: int, *signers: Signer) -> bytes:
        hashes = merkle.inclusion_proof(index, self.size, self.get)
        return TlogProof(index, hashes, self.checkpoint(*signers)).dumps()


def bundle_of(
    statement: Statement,
    *signers: Signer,
    key: ec.EllipticCurvePrivateKey = ALICE,
    transcript: bytes | None = None,
) -> Bundle:
    """A bundle whose certificate is entry 5 of 7 in the log."""
    signed = certificate.issue(statement, key)
    entry = entries.certificate_entry(certificate.loads(signed))
    tree = Tree.of(*(b"entry %d" % n for n in range(5)), entry, b"entry 6")
    proof = tree.proof(5, *signers)
    if not isinstance(statement, Verdict):
        return Bundle(signed, proof, transcript)
    return Bundle(signed, proof, transcript or TRANSCRIPT, ANSWERS, {"0001.png": b"\x89PNG"})


def verified_without_heavy_libraries(bundle: Bundle, folder: Path) -> None:
    """Verify a bundle in a new process, which must load no library that an outsider may lack."""
    bundle.save(folder / "bundle.zip")
    TRUST.save(folder / "trust.json")
    program = """
import sys
from pathlib import Path
from spellmark.certificates.trust import Trust
from spellmark.certificates.verify import verify_bundle
assert verify_bundle(Path("bundle.zip"), Trust.load(Path("trust.json"))).passed
assert not {"torch", "numpy", "django", "httpx"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)
