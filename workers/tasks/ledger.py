"""The sequencer's task."""

from celery import shared_task

from ledger import services


@shared_task(name="tasks.ledger_sequence")
def ledger_sequence() -> None:
    """Give queued entries their place until none waits."""
    while services.ledger_sequence():
        pass
