"""The sequencer's task, and the timestamps'."""

from celery import shared_task

from ledger import services
from ledger.timestamps import certificates_stamp as stamp_certificates


@shared_task(name="tasks.ledger_sequence")
def ledger_sequence() -> None:
    """Give queued entries their place until none waits."""
    while services.ledger_sequence():
        pass


@shared_task(name="tasks.certificates_stamp")
def certificates_stamp() -> None:
    """Ask the timestamp authority, where one is named, for the certificates without a stamp."""
    stamp_certificates()
