"""Make a new certificate key; the old one vouches for it in the log, and ends."""

from typing import Any

from django.core.management.base import BaseCommand

from ledger.rotation import certificate_key_rotate


class Command(BaseCommand):
    """Run with DATABASE_URL naming the database's owner, as for setup."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate, and say what is left to do."""
        certificate = certificate_key_rotate()
        print(f"A new key signs certificates. The succession is certificate {certificate.id}.")
        print("Hand the new trust file to your verifiers; destroy *.retired.pem when you can.")
