"""Prepare or upgrade an installation: tables, the runtime role's rights, signing keys."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from config.database import grant_runtime_role
from ledger.keys import ensure_signing_keys


class Command(BaseCommand):
    """Run with DATABASE_URL naming the database's owner; everything else runs as the role."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, grant, make keys; safe to run again."""
        call_command("migrate", interactive=False, verbosity=options["verbosity"])
        grant_runtime_role(settings.RUNTIME_DATABASE_ROLE)
        ensure_signing_keys()
