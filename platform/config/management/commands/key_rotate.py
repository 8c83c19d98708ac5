"""Add a signing key and let the one before it end after an overlap.

Run as the database's owner, like `setup`. While both log keys are valid both sign every checkpoint;
the old certificate key signs a succession that stands in the log.
"""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.keys import purposes
from ledger.rotation import key_rotate
from spellmark.errors import SpellmarkError


class Command(BaseCommand):
    """Hand out the new trust file during the overlap."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Which key, and how long the old one stays valid."""
        parser.add_argument("purpose", choices=[str(purpose) for purpose in purposes()])
        parser.add_argument("--overlap-days", type=float, default=30)

    def handle(self, *args: Any, **options: Any) -> None:
        """Name the new key."""
        purpose = next(p for p in purposes() if str(p) == options["purpose"])
        try:
            key = key_rotate(purpose=purpose, overlap=timedelta(days=options["overlap_days"]))
        except SpellmarkError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"The {purpose} key {key.keyid[:16]}… signs from now on; the one before it ends in"
            f" {options['overlap_days']:g} days. Hand out the new trust file and policy until then."
        )
