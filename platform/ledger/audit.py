"""The log recomputed from its entries, and compared with what others have seen of it."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from ledger.keys import certificate_key, log_signers
from ledger.locks import SEQUENCER_LOCK
from ledger.models import Certificate, Checkpoint, Entry, QueuedEntry, SigningKey
from ledger.selectors import (
    checkpoint_latest,
    log_size,
    log_verifiers,
    nodes_get,
    policy,
    trust,
)
from ledger.tiles import exported_checkpoint, tile_store
from ledger.witnesses import WitnessError, latest_cosigned
from spellmark.certificates import checkpoints, keys, merkle, notes
from spellmark.certificates.certificate import loads
from spellmark.certificates.dsse import Envelope
from spellmark.certificates.entries import certificate_digest, certificate_entry, certificate_in
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.policy import Policy
from spellmark.certificates.statements import Revocation, kind_of, parse, subjects_of
from spellmark.certificates.timestamps import CLOCK_SKEW
from spellmark.certificates.trust import Trust
from spellmark.errors import SpellmarkError

CHUNK = 4096
# Time enough for a publisher whose witnesses are slow.
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.05


class LogFault(SpellmarkError):  # noqa: N818 - what was found, rather than what went wrong
    """The first row that does not fit."""


@dataclass(frozen=True)
class Seen:
    """A checkpoint that somebody else kept: the witness, a static host, a file."""

    where: str
    note: bytes


@dataclass(frozen=True)
class Audit:
    """What was compared: how many entries, and with whose checkpoints."""

    size: int
    compared: Sequence[str]
    silent: Sequence[str]


def audit_log(*, seen: Sequence[Seen] = (), trusted: Trust | None = None) -> Audit:
    """Check every key, entry, node, checkpoint and logged certificate, and what witnesses saw.

    `seen` are checkpoints kept elsewhere, `trusted` is a trust file handed out earlier. Raises
    LogFault. A rewriting that was signed anew with the log's key shows only against those and
    against the witnesses.
    """
    elsewhere, silent = _seen_elsewhere()
    known = [*seen, *elsewhere]
    with _standing_still():
        _check_keys(trusted)
        verifiers, rules = log_verifiers(), policy()
        claims = [
            _claim_of_row(row, verifiers, rules) for row in Checkpoint.objects.order_by("size")
        ]
        _check_order()
        claims += [_claim_of_seen(one, verifiers, rules) for one in known]
        size = log_size()
        for claim in sorted(claims, key=lambda claim: claim.size):
            if claim.size > size:
                raise _fault(
                    f"{claim.what} covers {claim.size} entries, but there are {size}:"
                    f" the log was truncated, or the database rolled back. Entry {size} is missing"
                )
        _check_tree(size, claims)
        _check_extra_nodes(size)
        if (covered := _covered()) != size:
            raise _fault(
                f"The entries from {covered} on are under no checkpoint: either the sequencer"
                " stands still or lacks its witnesses, or checkpoints were taken out"
            )
        _check_certificates()
        _check_missing_certificates()
    return Audit(size, [one.where for one in known], silent)


@dataclass(frozen=True)
class _Claim:
    """Somebody's word, with a true signature, on the root at a size."""

    what: str
    size: int
    root: bytes
    elsewhere: bool


_Verifiers = Sequence[tuple[SigningKey, notes.Verifier]]


def _claim_of_row(row: Checkpoint, verifiers: _Verifiers, rules: Policy) -> _Claim:
    what = f"Checkpoint {row.size}"
    signed = _open(what, bytes(row.note), verifiers, rules)
    if (signed.size, signed.root) != (row.size, bytes(row.root)):
        raise _fault(f"{what} is not what its signature covers")
    valid = {
        (verifier.name, verifier.key_id): key
        for key, verifier in verifiers
        if key.valid_from - CLOCK_SKEW <= row.created_at
        and (not key.valid_until or row.created_at < key.valid_until + CLOCK_SKEW)
    }
    lines = notes.parse(bytes(row.note)).signatures
    if not any((line.name, line.key_id) in valid for line in lines):
        raise _fault(f"{what} was signed by no key that was valid when it was published")
    return _Claim(what, signed.size, signed.root, elsewhere=False)


def _claim_of_seen(one: Seen, verifiers: _Verifiers, rules: Policy) -> _Claim:
    what = f"The checkpoint of {one.where}"
    signed = _open(what, one.note, verifiers, rules)
    return _Claim(what, signed.size, signed.root, elsewhere=True)


def _open(what: str, note: bytes, verifiers: _Verifiers, rules: Policy) -> checkpoints.Checkpoint:
    known = [verifier for _, verifier in verifiers]
    try:
        signed = checkpoints.open_checkpoint(note, {settings.LOG_ORIGIN: known})
        rules.cosigners(notes.parse(note))
    except (FormatError, VerificationError) as error:
        raise _fault(f"{what} is forged, or its key was replaced: {error}".rstrip(".")) from None
    return signed


def _seen_elsewhere() -> tuple[list[Seen], list[str]]:
    """What witnesses and the static host have, and who did not answer."""
    found: list[Seen] = []
    silent: list[str] = []
    for url in dict.fromkeys(witness.url for witness in policy().witnesses if witness.url):
        try:
            note = latest_cosigned(url)
        except WitnessError as error:
            silent.append(str(error))
            continue
        if note is not None:
            found.append(Seen(f"the witness at {url}", note))
    store = tile_store()
    note = exported_checkpoint(store) if store else None
    return found + ([Seen("the static host", note)] if note else []), silent


@contextmanager
def _standing_still() -> Iterator[None]:
    """One state of the database to look at, taken while nothing was half done.

    The sequencer's lock keeps entries out of the tree, not out of the queue: nobody's transaction
    waits. The publisher goes on, so that soon a checkpoint is over all that was integrated.
    """
    if connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [SEQUENCER_LOCK])
        try:
            patience = time.monotonic() + PATIENCE_SECONDS
            while _covered() < log_size() and time.monotonic() < patience:
                time.sleep(LOOK_SECONDS)
            with transaction.atomic():
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                # The first query fixes what the transaction sees; then the sequencer may go on.
                log_size()
                cursor.execute("SELECT pg_advisory_unlock(%s)", [SEQUENCER_LOCK])
                yield
        except BaseException:
            cursor.execute("SELECT pg_advisory_unlock_all()")
            raise


def _covered() -> int:
    """How many entries the newest checkpoint covers."""
    latest = checkpoint_latest()
    return latest.size if latest else 0


def _check_keys(trusted: Trust | None) -> None:
    """Our own keys are the published ones, and those handed out earlier are still among them."""
    public = {key.keyid: key for key in SigningKey.objects.all()}
    for row in public.values():
        pem = keys.load_public(row.public_pem)
        if keys.keyid(pem) != row.keyid:
            raise _fault(f"The key {row.keyid[:12]}… in the key set was replaced")
    try:
        mine = [keys.keyid(certificate_key().public_key())]
        mine += [keys.keyid(signer.private_key.public_key()) for signer in log_signers()]
    except keys.SigningKeyError:
        raise _fault("The key set does not name the keys that this installation holds") from None
    for keyid in mine:
        if keyid not in public:
            raise _fault(f"The key {keyid[:12]}… is not in the key set: it was replaced")
    if trusted is None:
        return
    now = trust()
    if lost := set(trusted.by_keyid()) - set(now.by_keyid()):
        raise _fault(f"The certificate key {min(lost)[:12]}… of the trust file was replaced")
    vkeys = {key.verifier.vkey for key in now.log_keys}
    for log_key in trusted.log_keys:
        if log_key.verifier.vkey not in vkeys:
            raise _fault(
                f"The log key {log_key.verifier.key_id.hex()} of the trust file was replaced"
            )


def _check_order() -> None:
    rows = Checkpoint.objects.order_by("size").values_list("size", "created_at")
    for (size, earlier), (next_size, later) in pairwise(rows):
        # Two sequencers may stand on hosts whose clocks differ.
        if earlier > later + CLOCK_SKEW:
            raise _fault(f"Checkpoint {next_size} is older than checkpoint {size}")


def _check_tree(size: int, claims: Iterable[_Claim]) -> None:
    """Every entry, every hash above it and every root, in the order of the log."""
    waiting = sorted(claims, key=lambda claim: (claim.size, not claim.elsewhere))
    edge: dict[merkle.Node, bytes] = {}
    # Whoever rewrote the log may have signed it anew: a word from elsewhere is bounded only by
    # another word from elsewhere.
    fits = {True: 0, False: 0}
    for start in range(0, size, CHUNK):
        end = min(start + CHUNK, size)
        leaves = _leaves(start, end)
        added = merkle.extend(start, leaves, merkle.reader(edge))
        _check_nodes([node for node in added if node[0]])
        known = edge | {(level, index): value for level, index, value in added}
        while waiting and waiting[0].size <= end:
            claim = waiting.pop(0)
            if merkle.root(claim.size, merkle.reader(known)) != claim.root:
                how = (
                    "the log was forked or rewritten"
                    if claim.elsewhere
                    else "rows were rewritten together with their hashes"
                )
                raise _fault(
                    f"{claim.what} does not fit the entries before it: {how}. The first wrong row"
                    f" is one of the entries {fits[claim.elsewhere]} to {claim.size - 1}"
                )
            fits[False] = claim.size
            if claim.elsewhere:
                fits[True] = claim.size
        edge = {node: known[node] for node in merkle.root_nodes(end)}


def _leaves(start: int, end: int) -> list[bytes]:
    """The leaf hashes of a stretch of entries, each checked against its row and its leaf node."""
    rows = Entry.objects.filter(index__gte=start, index__lt=end).order_by("index")
    stored = nodes_get((0, index) for index in range(start, end))
    leaves: list[bytes] = []
    for index, body, said in rows.values_list("index", "body", "leaf_hash"):
        expected = start + len(leaves)
        if index != expected:
            raise _fault(f"Entry {expected} is missing: it was deleted")
        leaf = merkle.leaf_hash(bytes(body))
        if bytes(said) != leaf:
            raise _fault(f"Entry {index} does not have the hash of its bytes: it was changed")
        if (0, index) not in stored:
            raise _fault(
                f"Entry {index} has no leaf in the tree: it was inserted, or nodes deleted"
            )
        if stored[0, index] != leaf:
            raise _fault(f"Entry {index} is not the one that was logged there: swapped or inserted")
        leaves.append(leaf)
    if len(leaves) != end - start:
        raise _fault(f"Entry {start + len(leaves)} is missing: it was deleted")
    return leaves


def _check_nodes(computed: Sequence[tuple[int, int, bytes]]) -> None:
    stored = nodes_get((level, index) for level, index, _ in computed)
    for level, index, value in computed:
        if (level, index) not in stored:
            raise _fault(f"Node {level}/{index} is missing")
        if stored[level, index] != value:
            raise _fault(f"Node {level}/{index} is not the hash of what is below it")


def _check_extra_nodes(size: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT level, index FROM ledger_node WHERE index < 0 OR level > 62"
            " OR (index + 1)::numeric * (2::numeric ^ level) > %s ORDER BY level, index LIMIT 1",
            [size],
        )
        if found := cursor.fetchone():
            raise _fault(
                f"Node {found[0]}/{found[1]} belongs to no entry: one was deleted from the end"
            )


def _check_certificates() -> None:
    rows = Certificate.objects.select_related("revokes__certificate").prefetch_related("subjects")
    for certificate in rows.iterator(chunk_size=1000):
        try:
            envelope = loads(bytes(certificate.body))
            statement = parse(envelope.payload)
        except FormatError as error:
            raise _fault(f"Certificate {certificate.id} was changed: {error}") from None
        _check_place(certificate, envelope)
        if certificate.kind != (kind := kind_of(statement)):
            raise _fault(
                f"Certificate {certificate.id} is a {kind}, but is kept as a {certificate.kind}"
            )
        told = {subject.name: subject.digest for subject in certificate.subjects.all()}
        if told != subjects_of(envelope.payload):
            raise _fault(f"Certificate {certificate.id} is kept under subjects that it has not")
        withdrawn = statement.certificate_digest if isinstance(statement, Revocation) else None
        row = getattr(certificate, "revokes", None)
        if withdrawn and row is None:
            raise _fault(
                f"Certificate {certificate.id} revokes another one, but its row that says so is"
                " missing: the revocation was hidden"
            )
        if (row.certificate.digest if row else None) != withdrawn:
            raise _fault(f"What certificate {certificate.id} revokes was changed")


def _check_missing_certificates() -> None:
    """Whatever certificate the log names is still there: a revocation, too, is one."""
    kept = Certificate.objects.filter(leaf_hash=OuterRef("leaf_hash"))
    others = Entry.objects.filter(~Exists(kept)).order_by("index")
    for index, body in others.values_list("index", "body").iterator(chunk_size=CHUNK):
        if digest := certificate_in(bytes(body)):
            raise _fault(
                f"Entry {index} is of the certificate {digest[:16]}…, which is missing: it was"
                " deleted"
            )


def _check_place(certificate: Certificate, envelope: Envelope) -> None:
    """The row names the entry of the certificate's own bytes, which is in the log or on its way."""
    logged = Entry.objects.filter(leaf_hash=bytes(certificate.leaf_hash)).first()
    entry = certificate_entry(envelope)
    leaf = merkle.leaf_hash(entry)
    if (certificate.digest, bytes(certificate.leaf_hash)) != (certificate_digest(envelope), leaf):
        where = f"the one in entry {logged.index}" if logged else "the one that was logged"
        raise _fault(f"Certificate {certificate.id} is not {where}")
    if logged is None and not QueuedEntry.objects.filter(body=entry).exists():
        raise _fault(f"Certificate {certificate.id} is not in the log and does not wait for it")


def _fault(what: str) -> LogFault:
    return LogFault(
        f"{what}.", hint="Compare with a checkpoint kept elsewhere; restore the database."
    )
