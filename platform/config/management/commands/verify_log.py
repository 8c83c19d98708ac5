"""Recompute the whole log, compare it with what others saw, and name the first wrong row."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.audit import Seen, audit_log
from spellmark.certificates.trust import Trust
from spellmark.errors import SpellmarkError


class Command(BaseCommand):
    """Exit code 1 when the log was tampered with."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """What was kept elsewhere."""
        parser.add_argument(
            "--checkpoint",
            type=Path,
            action="append",
            default=[],
            help="a checkpoint or .tlog-proof that was kept outside; may be given several times",
        )
        parser.add_argument("--trust", type=Path, help="a trust file that was handed out earlier")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how long the log is, or what is wrong with it."""
        try:
            audit = audit_log(
                seen=[_kept(path) for path in options["checkpoint"]],
                trusted=Trust.load(options["trust"]) if options["trust"] else None,
            )
        except SpellmarkError as fault:
            raise CommandError(str(fault)) from None
        self.stdout.write(
            f"All {audit.size} entries, their hashes and every checkpoint fit together."
        )
        for where in audit.compared:
            self.stdout.write(f"They continue the checkpoint of {where}.")
        for trouble in audit.silent:
            self.stderr.write(self.style.WARNING(f"Not compared: {trouble}"))
        for doubt in audit.doubts:
            self.stderr.write(self.style.WARNING(doubt))
        if not audit.compared:
            self.stdout.write(
                "No witness was asked: who holds the log's key could have rewritten all of it."
                " See docs/ledger.md."
            )


def _kept(path: Path) -> Seen:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}. Check the path.") from None
    if data.startswith(b"c2sp.org/tlog-proof@v1\n"):
        data = data.partition(b"\n\n")[2]
    return Seen(str(path), data)
