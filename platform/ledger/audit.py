"""The log recomputed from its entries."""

from itertools import pairwise

from ledger.models import Certificate, Checkpoint, Entry, Node
from ledger.selectors import trust
from spellmark.certificates import checkpoints, merkle
from spellmark.errors import SpellmarkError


class LogFault(SpellmarkError):  # noqa: N818 - what was found, rather than what went wrong
    """The first row that does not fit."""


def audit_log() -> int:
    """Check every entry, node, checkpoint and logged certificate; the log's size.

    Raises LogFault. What was changed and signed anew by someone who holds the log key shows only
    against checkpoints kept elsewhere.
    """
    computed: dict[merkle.Node, bytes] = {}
    size = 0
    for entry in Entry.objects.order_by("index").iterator():
        if entry.index != size:
            raise _fault(f"Entry {size} is missing")
        leaf = merkle.leaf_hash(bytes(entry.body))
        if bytes(entry.leaf_hash) != leaf:
            raise _fault(f"Entry {entry.index} does not have the hash of its bytes")
        for level, index, value in merkle.append(size, leaf, merkle.reader(computed)):
            computed[level, index] = value
        size += 1
    _check_nodes(computed)
    _check_checkpoints(computed, size)
    for certificate in Certificate.objects.iterator():
        logged = Entry.objects.filter(leaf_hash=bytes(certificate.leaf_hash)).first()
        if logged and certificate.digest.encode() not in bytes(logged.body):
            raise _fault(f"Certificate {certificate.id} is not the one in entry {logged.index}")
    return size


def _check_nodes(computed: dict[merkle.Node, bytes]) -> None:
    stored = 0
    for node in Node.objects.order_by("level", "index").iterator():
        stored += 1
        if computed.get((node.level, node.index)) != bytes(node.hash):
            raise _fault(f"Node {node.level}/{node.index} is not the hash of what is below it")
    if stored != len(computed):
        raise _fault(f"{len(computed) - stored} nodes are missing")


def _check_checkpoints(computed: dict[merkle.Node, bytes], size: int) -> None:
    logs = trust().logs()
    rows = list(Checkpoint.objects.order_by("size"))
    for row in rows:
        signed = checkpoints.open_checkpoint(bytes(row.note), logs)
        if (signed.size, signed.root) != (row.size, bytes(row.root)):
            raise _fault(f"Checkpoint {row.size} is not what its signature covers")
        if row.size > size:
            raise _fault(f"Checkpoint {row.size} covers more than the {size} entries there are")
        if merkle.root(row.size, merkle.reader(computed)) != signed.root:
            raise _fault(f"Checkpoint {row.size} does not fit the entries before it")
    if size and (not rows or rows[-1].size != size):
        raise _fault("The last entries are under no checkpoint")
    for earlier, later in pairwise(rows):
        if earlier.created_at > later.created_at:
            raise _fault(f"Checkpoint {later.size} is older than checkpoint {earlier.size}")


def _fault(what: str) -> LogFault:
    return LogFault(
        f"{what}.", hint="Compare with a checkpoint kept elsewhere; restore the database."
    )
