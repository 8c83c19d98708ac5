"""What a forgery runs into: a registry in miniature, and a run as the platform conducts it.

Nothing is judged here. Keys are opened, triggers derived, suspects asked, rules applied,
certificates signed and bundles verified by the code that the platform runs and that outsiders
verify with; this file only puts them in their order, as `tasks/trigger_run.py` does with a
database.
"""

import hashlib
import secrets
import tempfile
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from torch import nn

from spellmark.certificates import certificate, checkpoints, entries, keys, merkle
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.checkpoints import Checkpoint
from spellmark.certificates.notes import Signer
from spellmark.certificates.statements import Registration, Statement, Verdict
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.certificates.trust import CertificateKey, LogKey, Trust
from spellmark.certificates.verify import VerificationReport, verify_files
from spellmark.evidence import conduct, transcript
from spellmark.evidence.keyed_probes import Slots, as_it_is
from spellmark.evidence.null_pool import KINDS, Reference
from spellmark.evidence.transcript import Exchange
from spellmark.evidence.trigger_leaves import draw_leaves
from spellmark.evidence.trigger_pool import pool_digest
from spellmark.evidence.trigger_replay import TriggerDisclosure, replay
from spellmark.evidence.trigger_rule import TriggerDecision, TriggerRun
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.suspects.model_file import ModelFile
from spellmark.training import weights
from spellmark.training.datasets import Split
from spellmark.training.inference import predict_labels
from spellmark.watermarks.trigger import SCHEME, TriggerKey, TriggerParameters
from spellmark.watermarks.trigger.examine import (
    ask_reference,
    check_owner,
    check_registered,
    rule_for,
)
from spellmark.watermarks.trigger.trigger_key import Images, Labels

ORIGIN = "court.invalid/log"
OPENED = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Model:
    """A model with its card."""

    net: nn.Module
    card: ModelCard

    def labels(self, images: Images) -> Labels:
        """What it says to images, int64 (n,)."""
        return predict_labels(self.net, self.card, images)


@dataclass(frozen=True)
class Commitment:
    """A key that was committed to. number: which of the owner's it is, from 1."""

    file: KeyFile = field(repr=False)
    binding: bytes
    number: int

    def key(self, owner: str) -> TriggerKey:
        """All triggers, derived anew."""
        return TriggerKey.open(self.file, owner=owner, binding=self.binding)


@dataclass(frozen=True)
class Claim:
    """An owner's registered watermark. root: as it was registered; index: in the log."""

    owner: str
    commitment: Commitment
    root: str
    index: int
    marked: Model
    unmarked: Model

    @property
    def key(self) -> TriggerKey:
        """All triggers, derived anew."""
        return self.commitment.key(self.owner)


@dataclass(frozen=True)
class Hearing:
    """A run that was held. bundle: what is handed over."""

    decision: TriggerDecision
    statement: Verdict
    bundle: Bundle
    opened: tuple[int, ...]


@dataclass
class Court:
    """A registry: its keys, its log, its null pool, and what it has seen of each owner.

    test: labelled images on which owners' models must do their task.
    """

    test: Split
    pool: list[Model] = field(default_factory=list)
    _key: EllipticCurvePrivateKey = field(default_factory=keys.generate_p256, repr=False)
    _log: Signer = field(
        default_factory=lambda: Signer(ORIGIN, keys.generate_ed25519()), repr=False
    )
    _nodes: dict[merkle.Node, bytes] = field(default_factory=dict)
    _size: int = 0
    _commitments: dict[str, int] = field(default_factory=dict)
    _used: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _runs: dict[str, int] = field(default_factory=dict)

    @property
    def trust(self) -> Trust:
        """What outsiders hold of this registry: its public keys."""
        return Trust(
            (CertificateKey(self._key.public_key(), OPENED, None),),
            (LogKey(ORIGIN, self._log.verifier),),
        )

    def commit(self, owner: str, file: KeyFile) -> Commitment:
        """Take a commitment, count it, and only then draw the binding."""
        self._commitments[owner] = self._commitments.get(owner, 0) + 1
        return Commitment(file, secrets.token_bytes(32), self._commitments[owner])

    def register(
        self, owner: str, commitment: Commitment, root: str, *, marked: Model, unmarked: Model
    ) -> Claim:
        """Enter the root of an owner's triggers in the log; nobody looks at them yet."""
        index, _ = self.log(self.registration(owner, commitment, root))
        return Claim(owner, commitment, root, index, marked, unmarked)

    def log(self, statement: Statement) -> tuple[int, Bundle]:
        """Sign a statement and enter it: its index, and the bundle with its proof."""
        signed = certificate.issue(statement, self._key)
        leaf = merkle.leaf_hash(entries.certificate_entry(certificate.loads(signed)))
        index, self._size = self._size, self._size + 1
        for level, place, value in merkle.append(index, leaf, merkle.reader(self._nodes)):
            self._nodes[level, place] = value
        return index, Bundle(signed, self.proof(index))

    def proof(self, index: int) -> bytes:
        """The proof that an entry stands in the log as it is now."""
        get = merkle.reader(self._nodes)
        body = Checkpoint(ORIGIN, self._size, merkle.root(self._size, get))
        hashes = merkle.inclusion_proof(index, self._size, get)
        return TlogProof(index, hashes, checkpoints.sign(body, [self._log])).dumps()

    def hear(self, claim: Claim, suspect: Model) -> Hearing:
        """A run: the triggers are derived anew, the owner's model is looked at, the suspect asked,
        the null pool asked the same, the rule applied, the verdict signed and entered.

        Raises SpellmarkError where the claim is refused before anybody is asked.
        """
        key, digest = claim.key, claim.commitment.file.commitment()
        check_registered(key, claim.root)
        check_owner(
            claim.marked.net, claim.unmarked.net, claim.marked.card, key, self.test
        ).require()
        references = [
            Reference(KINDS[n % len(KINDS)], _digest_of(model)) for n, model in enumerate(self.pool)
        ]
        self._runs[digest] = self._runs.get(digest, 0) + 1
        rule = rule_for(
            key.parameters,
            registration=claim.commitment.number,
            run=self._runs[digest],
            used=self._used.get(digest, ()),
            models=len(references),
            pool_sha256=pool_digest(references),
        )
        seed, started = secrets.token_bytes(32), datetime.now(UTC)
        leaves = draw_leaves(seed, rule.triggers, rule.used, rule.probes)
        record = _Record()
        run = TriggerRun(rule)

        def enough(exchange: Exchange) -> bool:
            run.add(exchange.label, exchange.labels[0])
            return run.decided

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "suspect.safetensors"
            weights.save(suspect.net, suspect.card, path)
            file = ModelFile(path)
            questions = conduct.Questions(
                probes=Split(key.images[list(leaves)], key.labels[list(leaves)]),
                image_indices=leaves,
                slots=Slots((as_it_is,)),
                batch=1,
            )
            conduct.conduct(file, questions, record, enough=enough)
            described = file.describe()
        exchanges = list(record.exchanges.values())
        told = TriggerDisclosure(
            seed=seed,
            root=key.tree.root,
            owner=claim.owner,
            openings={one.image_index: key.opening(one.image_index) for one in exchanges},
            pool=tuple(
                ask_reference(one, model.labels, key, leaves, len(exchanges))
                for one, model in zip(references, self.pool, strict=True)
            ),
        )
        decision, control = replay(rule, told, exchanges)
        opened = tuple(one.image_index for one in exchanges)
        self._used[digest] = tuple(sorted({*rule.used, *opened}))
        header = {"suspect": described, "rule": asdict(rule), "seed": seed.hex(), **told.as_dict()}
        lines = transcript.write(header, exchanges)
        statement = Verdict(
            model_digest=_digest_of(claim.marked),
            transcript_digest=hashlib.sha256(lines).hexdigest(),
            suspect=described,
            method=rule.method,
            scheme=claim.commitment.file.scheme,
            parameters={
                **claim.commitment.file.parameters,
                "commitment": digest,
                "binding": claim.commitment.binding.hex(),
                "owner": claim.owner,
                "triggerRoot": claim.root,
                "registrationNumber": rule.registration,
                "runNumber": rule.run,
                "minimumProbes": rule.minimum_probes,
                "answeredProbes": decision.outcome.answered,
                "queryCap": rule.query_cap,
                "nullPool": control.as_dict(),
            },
            evidence_class="verified",
            statistic=decision.outcome.statistic,
            p_value=decision.p_value,
            alpha=rule.alpha,
            smallest_p=rule.smallest_p,
            decoys=0,
            probes=rule.probes,
            queries=len(exchanges),
            access_level="labels",
            verdict=decision.verdict,
            reason=decision.reason,
            registration_index=claim.index,
            registration_digest=None,
            started_at=started,
            finished_at=datetime.now(UTC),
            limits=(),
        )
        _, bundle = self.log(statement)
        bundle = replace(bundle, transcript=lines, answers=record.answers)
        return Hearing(decision, statement, bundle, opened)

    def verify(self, bundle: Bundle) -> VerificationReport:
        """As outsiders do, with `spellmark verify`."""
        return verify_files(bundle, self.trust)

    def stated(self, statement: Statement) -> Bundle:
        """A statement that is signed by this registry, with the proof of another entry."""
        return Bundle(certificate.issue(statement, self._key), self.proof(0))

    def registration(self, owner: str, commitment: Commitment, root: str) -> Registration:
        """What is signed of an owner's triggers."""
        return Registration(
            model_digest=hashlib.sha256(root.encode()).hexdigest(),
            model_name="claimed",
            version=1,
            organisation=owner,
            commitment=commitment.file.commitment(),
            binding=commitment.binding.hex(),
            scheme=commitment.file.scheme,
            parameters={**commitment.file.parameters, "owner": owner, "triggerRoot": root},
            registered_at=datetime.now(UTC) - timedelta(seconds=1),
        )


class _Record:
    """Keeps exchanges and raw answers in memory."""

    def __init__(self) -> None:
        self.exchanges: dict[int, Exchange] = {}
        self.answers: dict[str, bytes] = {}

    def intend(self, exchange: Exchange) -> None:
        self.exchanges[exchange.number] = exchange

    def conclude(self, exchange: Exchange, answer: bytes | None) -> None:
        self.exchanges[exchange.number] = exchange
        if answer is not None and exchange.answer_sha256:
            self.answers[exchange.answer_sha256] = answer


def _digest_of(model: Model) -> str:
    """Of the weights, 64 hex digits."""
    state = hashlib.sha256()
    for tensor in model.net.state_dict().values():
        state.update(tensor.detach().cpu().numpy().tobytes())
    return state.hexdigest()


def new_key(parameters: TriggerParameters) -> KeyFile:
    """A key file with a secret from the system's random source."""
    return KeyFile.generate(SCHEME, parameters.as_dict())
