"""The sequencer's task, the tiles' and the timestamps'."""

from celery import shared_task

from ledger import services, tiles
from ledger.timestamps import certificates_stamp as stamp_certificates


@shared_task(name="tasks.ledger_sequence")
def ledger_sequence() -> None:
    """Give queued entries their place until none waits."""
    while services.ledger_sequence():
        pass


@shared_task(name="tasks.tiles_export")
def tiles_export() -> None:
    """Write out what the static host lacks, where there is one; the next round makes up for it."""
    tiles.tiles_export()


@shared_task(name="tasks.certificates_stamp")
def certificates_stamp() -> None:
    """Ask the timestamp authority, where one is named, for the certificates without a stamp."""
    stamp_certificates()
