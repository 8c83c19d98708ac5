"""Publishing: sign what was integrated, ask the witnesses, then let the checkpoint out."""

import logging

from django.db import transaction

from ledger.keys import log_signers
from ledger.locks import PUBLISHER_LOCK, locked
from ledger.models import Checkpoint
from ledger.selectors import (
    checkpoint_latest,
    consistency_proof,
    log_size,
    nodes_get,
    policy,
)
from ledger.witnesses import WitnessError, cosign
from spellmark.certificates import checkpoints, merkle, notes
from spellmark.certificates.errors import VerificationError
from spellmark.errors import SpellmarkError

logger = logging.getLogger("spellmark.ledger")


class PublishError(SpellmarkError):
    """The log must not go on: what it would publish contradicts what it has published."""


def ledger_publish() -> Checkpoint | None:
    """Publish a checkpoint over all integrated entries; None where there is nothing to publish.

    Without the quorum nothing is published either: the next call tries again. Raises PublishError.
    """
    try:
        return _publish()
    except WitnessError as error:
        logger.warning("No checkpoint was published: %s", error)
        return None


@transaction.atomic
def _publish() -> Checkpoint | None:
    if not locked(PUBLISHER_LOCK):
        return None
    latest, size = checkpoint_latest(), log_size()
    old_size = latest.size if latest else 0
    if size == old_size:
        return None
    if size < old_size:
        raise PublishError(
            f"The log has {size} entries but has published a checkpoint of {old_size}.",
            hint="Entries were taken out of the database. Run manage.py verify_log.",
        )
    root = merkle.root(size, merkle.reader(nodes_get(merkle.root_nodes(size))))
    _check_continues(latest, size, root)
    signers = log_signers()
    note = checkpoints.sign(checkpoints.Checkpoint(signers[0].name, size, root), signers)
    note = cosign(policy(), note, old_size=old_size, new_size=size)
    return Checkpoint.objects.create(size=size, root=root, note=note)


def _check_continues(latest: Checkpoint | None, size: int, root: bytes) -> None:
    """Never sign a tree that does not begin with the one that was signed before it."""
    if latest is None:
        return
    signed = checkpoints.parse_body(notes.parse(bytes(latest.note)).text)
    try:
        merkle.verify_consistency(
            signed.size, size, signed.root, root, consistency_proof(signed.size, size)
        )
    except VerificationError as error:
        raise PublishError(
            f"The log no longer begins with its checkpoint of {signed.size} entries: {error}",
            hint="Rows were changed in the database. Run manage.py verify_log.",
        ) from None
