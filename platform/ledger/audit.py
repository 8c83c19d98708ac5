"""The log recomputed from its entries, and compared with what others have seen of it."""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from django.conf import settings
from django.db import connection, transaction

from ledger.certificate_audit import CHUNK, check_certificates
from ledger.faults import fault
from ledger.keys import certificate_key, log_signers
from ledger.locks import SEQUENCER_LOCK
from ledger.models import Checkpoint, Entry, SigningKey
from ledger.selectors import checkpoint_latest, log_size, log_verifiers, nodes_get, policy
from ledger.tiles import exported_checkpoint, tile_store
from ledger.witnesses import WitnessError, latest_cosigned
from spellmark.certificates import checkpoints, keys, merkle, notes
from spellmark.certificates.encoding import to_time
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.policy import Policy
from spellmark.certificates.timestamps import CLOCK_SKEW
from spellmark.certificates.trust import CertificateKey, LogKey, Trust

# Time enough for a publisher whose witnesses are slow.
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Seen:
    """A checkpoint that somebody else kept: the witness, a static host, a file."""

    where: str
    note: bytes


@dataclass(frozen=True)
class Audit:
    """How many entries there are, and with whose checkpoints they were compared.

    `silent` says who did not answer, `doubts` what only a person can tell.
    """

    size: int
    compared: Sequence[str]
    silent: Sequence[str]
    doubts: Sequence[str]


def audit_log(*, seen: Sequence[Seen] = (), trusted: Trust | None = None) -> Audit:
    """Check every key, entry, node, checkpoint and logged certificate, and what witnesses saw.

    `seen` are checkpoints kept elsewhere, `trusted` is a trust file handed out earlier. Raises
    LogFault. A rewriting that was signed anew with the log's key shows only against those and
    against the witnesses.
    """
    elsewhere = _ask_elsewhere()
    known = [*seen, *elsewhere.seen]
    with _standing_still():
        _check_keys(trusted)
        verifiers, rules = log_verifiers(), policy()
        published = [
            _claim_of_row(row, verifiers, rules) for row in Checkpoint.objects.order_by("size")
        ]
        _check_order()
        claims = published + [_claim_of_seen(one, verifiers, rules) for one in known]
        size = log_size()
        for claim in sorted(claims, key=lambda claim: claim.size):
            if claim.size > size:
                raise fault(
                    f"{claim.what} covers {claim.size} entries, but there are {size}:"
                    f" the log was truncated, or the database rolled back. Entry {size} is missing"
                )
        _check_tree(size, claims)
        _check_extra_nodes(size)
        if (covered := _covered()) != size:
            raise fault(
                f"The entries from {covered} on are under no checkpoint: either the sequencer"
                " stands still or lacks its witnesses, or checkpoints were taken out"
            )
        _check_times(min(key.valid_from for key, _ in verifiers))
        doubts = _check_quorum(published, rules, elsewhere.answered)
        doubts += check_certificates()
    return Audit(size, [one.where for one in known], elsewhere.silent, doubts)


@dataclass(frozen=True)
class _Claim:
    """Somebody's word, with a true signature, on the root at a size; `cosigned` by the quorum."""

    what: str
    size: int
    root: bytes
    elsewhere: bool
    cosigned: bool


_Verifiers = Sequence[tuple[SigningKey, notes.Verifier]]


def _claim_of_row(row: Checkpoint, verifiers: _Verifiers, rules: Policy) -> _Claim:
    what = f"Checkpoint {row.size}"
    signed, cosigned = _open(what, bytes(row.note), verifiers, rules)
    if (signed.size, signed.root) != (row.size, bytes(row.root)):
        raise fault(f"{what} is not what its signature covers")
    valid = {
        (verifier.name, verifier.key_id): key
        for key, verifier in verifiers
        if key.valid_from - CLOCK_SKEW <= row.created_at
        and (not key.valid_until or row.created_at < key.valid_until + CLOCK_SKEW)
    }
    lines = notes.parse(bytes(row.note)).signatures
    if not any((line.name, line.key_id) in valid for line in lines):
        raise fault(f"{what} was signed by no key that was valid when it was published")
    return _Claim(what, signed.size, signed.root, elsewhere=False, cosigned=cosigned)


def _claim_of_seen(one: Seen, verifiers: _Verifiers, rules: Policy) -> _Claim:
    what = f"The checkpoint of {one.where}"
    signed, cosigned = _open(what, one.note, verifiers, rules)
    return _Claim(what, signed.size, signed.root, elsewhere=True, cosigned=cosigned)


def _open(
    what: str, note: bytes, verifiers: _Verifiers, rules: Policy
) -> tuple[checkpoints.Checkpoint, bool]:
    """The checkpoint, and whether the quorum of the policy cosigned it."""
    known = [verifier for _, verifier in verifiers]
    try:
        signed = checkpoints.open_checkpoint(note, {settings.LOG_ORIGIN: known})
        names = [witness.name for witness in rules.cosigners(notes.parse(note))]
    except (FormatError, VerificationError) as error:
        raise fault(f"{what} is forged, or its key was replaced: {error}".rstrip(".")) from None
    return signed, rules.is_met(names)


@dataclass(frozen=True)
class _Elsewhere:
    """What others have of the log, who did not answer, and which witnesses did, by their names."""

    seen: Sequence[Seen]
    silent: Sequence[str]
    answered: Collection[str]


def _ask_elsewhere() -> _Elsewhere:
    """Ask the witnesses and the static host for the newest checkpoint that they have."""
    seen: list[Seen] = []
    silent: list[str] = []
    answered: list[str] = []
    witnesses = policy().witnesses
    for url in dict.fromkeys(witness.url for witness in witnesses if witness.url):
        try:
            note = latest_cosigned(url)
        except WitnessError as error:
            silent.append(str(error))
            continue
        answered += [witness.name for witness in witnesses if witness.url == url]
        if note is not None:
            seen.append(Seen(f"the witness at {url}", note))
    store = tile_store()
    note = exported_checkpoint(store) if store else None
    if note is not None:
        seen.append(Seen("the static host", note))
    return _Elsewhere(seen, silent, answered)


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
            raise fault(f"The key {row.keyid[:12]}… in the key set was replaced")
    try:
        mine = [keys.keyid(certificate_key().public_key())]
        mine += [keys.keyid(signer.private_key.public_key()) for signer in log_signers()]
    except keys.SigningKeyError:
        raise fault("The key set does not name the keys that this installation holds") from None
    for keyid in mine:
        if keyid not in public:
            raise fault(f"The key {keyid[:12]}… is not in the key set: it was replaced")
    if trusted is not None:
        _check_handed_out(trusted)


def _check_handed_out(trusted: Trust) -> None:
    """The keys of a trust file are among ours, with the times that it gives them."""
    certificates = {
        row.keyid: row for row in SigningKey.objects.filter(purpose=SigningKey.Purpose.CERTIFICATE)
    }
    logs = {verifier.vkey: row for row, verifier in log_verifiers()}
    for key in trusted.certificate_keys:
        what = f"The certificate key {key.keyid[:12]}… of the trust file"
        _check_times_of_key(what, key, certificates.get(key.keyid))
    for log_key in trusted.log_keys:
        what = f"The log key {log_key.verifier.key_id.hex()} of the trust file"
        _check_times_of_key(what, log_key, logs.get(log_key.verifier.vkey))


def _check_times_of_key(what: str, told: CertificateKey | LogKey, row: SigningKey | None) -> None:
    """A key may be given an end, or an earlier one. Anything else would let it sign for others."""
    if row is None:
        raise fault(f"{what} was replaced")
    if told.valid_from and told.valid_from != row.valid_from:
        raise fault(
            f"{what} is valid from {to_time(told.valid_from)} there, but from"
            f" {to_time(row.valid_from)} here: its beginning was moved"
        )
    if told.valid_until and not (row.valid_until and row.valid_until <= told.valid_until):
        raise fault(
            f"{what} ends at {to_time(told.valid_until)} there, but"
            f" {f'at {to_time(row.valid_until)}' if row.valid_until else 'never'} here: its time"
            " was prolonged"
        )


def _check_order() -> None:
    rows = Checkpoint.objects.order_by("size").values_list("size", "created_at")
    for (size, earlier), (next_size, later) in pairwise(rows):
        # Two sequencers may stand on hosts whose clocks differ.
        if earlier > later + CLOCK_SKEW:
            raise fault(f"Checkpoint {next_size} is older than checkpoint {size}")


def _check_times(begun_at: datetime) -> None:
    """Entries follow each other in time, and stand between the checkpoints around them.

    Clocks of several hosts differ, and what comes in while witnesses are asked is older than the
    checkpoint before it.
    """
    published = iter(Checkpoint.objects.order_by("size").values_list("size", "created_at"))
    covered, newest, until = 0, begun_at, begun_at
    entries = Entry.objects.order_by("index").values_list("index", "integrated_at")
    for index, at in entries.iterator(chunk_size=CHUNK):
        while index >= covered:
            newest = max(newest, until)
            covered, until = next(published)
        if at + CLOCK_SKEW < newest:
            raise fault(
                f"Entry {index} is dated back: the log, or what stands before it there, is younger"
            )
        if at > until + CLOCK_SKEW:
            raise fault(f"Entry {index} is younger than checkpoint {covered}, which covers it")
        newest = max(newest, at)


def _check_quorum(
    published: Sequence[_Claim], rules: Policy, answered: Collection[str]
) -> list[str]:
    """The newest checkpoint has the quorum of the policy, or what to say of it; else a fault.

    Without it only the witnesses can tell a policy that was set since from a log that was written
    anew behind their backs. What they know fits the log, where they were asked.
    """
    if not published or published[-1].cosigned:
        return []
    newest = published[-1]
    lacks = f"{newest.what} lacks the cosignatures that the policy asks for"
    if before := [claim for claim in published if claim.cosigned]:
        raise fault(
            f"{lacks}, but checkpoint {before[-1].size} has them: the entries from"
            f" {before[-1].size} on were published behind the witnesses' backs",
            hint="If another policy stood meanwhile, log another entry: witnesses cosign only what"
            " continues what they know.",
        )
    if not rules.is_met(answered):
        raise fault(
            f"{lacks}, and too few witnesses answer: the log may have been written anew behind"
            " their backs",
            hint="Start the witnesses and run manage.py verify_log again: they can tell.",
        )
    return [
        f"{lacks}. If the policy is younger than that, all is well: the next checkpoint has them."
    ]


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
                raise fault(
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
            raise fault(f"Entry {expected} is missing: it was deleted")
        leaf = merkle.leaf_hash(bytes(body))
        if bytes(said) != leaf:
            raise fault(f"Entry {index} does not have the hash of its bytes: it was changed")
        if (0, index) not in stored:
            raise fault(f"Entry {index} has no leaf in the tree: it was inserted, or nodes deleted")
        if stored[0, index] != leaf:
            raise fault(f"Entry {index} is not the one that was logged there: swapped or inserted")
        leaves.append(leaf)
    if len(leaves) != end - start:
        raise fault(f"Entry {start + len(leaves)} is missing: it was deleted")
    return leaves


def _check_nodes(computed: Sequence[tuple[int, int, bytes]]) -> None:
    stored = nodes_get((level, index) for level, index, _ in computed)
    for level, index, value in computed:
        if (level, index) not in stored:
            raise fault(f"Node {level}/{index} is missing")
        if stored[level, index] != value:
            raise fault(f"Node {level}/{index} is not the hash of what is below it")


def _check_extra_nodes(size: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT level, index FROM ledger_node WHERE index < 0 OR level > 62"
            " OR (index + 1)::numeric * (2::numeric ^ level) > %s ORDER BY level, index LIMIT 1",
            [size],
        )
        if found := cursor.fetchone():
            raise fault(
                f"Node {found[0]}/{found[1]} belongs to no entry: one was deleted from the end"
            )
