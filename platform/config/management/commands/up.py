"""Start the whole platform on this machine, and stop it with Ctrl-C."""

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from config.supervisor import Platform


class Command(BaseCommand):
    """Embedded PostgreSQL and Valkey, web, one worker, beat."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to listen."""
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a signal comes or a part ends by itself."""
        with Platform(settings.HOME, port=options["port"]) as platform:
            self.stdout.write(f"Spellmark is up at {platform.url}")
            self.stdout.write(
                "First time here? Make an owner: manage.py owner_create --help\nCtrl-C stops it."
            )
            wait_for_stop(platform)


def wait_for_stop(platform: Platform) -> None:
    """Wait for Ctrl-C or SIGTERM; raise StartError when a part ends by itself."""
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    while signal.sigtimedwait(signals, 1) is None:
        platform.check()
