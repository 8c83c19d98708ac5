"""Give queued log entries their place and publish checkpoints, without a broker.

The Celery worker does the same; this is for installations that log much, or have no worker. It is
safe to start as often as one likes: one of them works, the others step back.
"""

import logging
import signal
import time
from threading import Event, Thread
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection

from ledger.services import BATCH, ledger_sequence
from ledger.tiles import tiles_export

logger = logging.getLogger("spellmark.ledger")
RETRY_SECONDS = 1.0
EXPORT_SECONDS = 5.0


class Command(BaseCommand):
    """Runs until a signal comes."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """How often and how much."""
        parser.add_argument("--every", type=float, default=0.2, help="seconds between looks")
        parser.add_argument("--batch", type=int, default=BATCH, help="entries in one transaction")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sequence while there is something, else wait; a lost database is waited for."""
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        if settings.LOG_TILES:
            Thread(target=_export, args=(stop,), daemon=True).start()
        while not stop.is_set():
            try:
                if not ledger_sequence(batch=options["batch"]):
                    stop.wait(options["every"])
            except DatabaseError as error:
                logger.warning("The database does not answer: %s", str(error).strip())
                connection.close()
                time.sleep(min(RETRY_SECONDS, options["every"] * 5))
            except Exception:
                # A witness, a key or a policy file: whatever it is may be mended.
                logger.exception("The log does not go on for now.")
                stop.wait(RETRY_SECONDS * 10)


def _export(stop: Event) -> None:
    """Write tiles out beside the log, which never waits for the static host."""
    while not stop.wait(EXPORT_SECONDS):
        try:
            tiles_export()
        except DatabaseError:
            connection.close()
        except Exception:
            logger.exception("Tiles are not written out for now.")
