"""Start the platform, tell the story on real data, and leave the dashboard up."""

import json
import sys
from contextlib import ExitStack
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console

from config.management.commands.up import wait_for_stop
from config.supervisor import Platform
from spellmark.errors import SpellmarkError

EMAIL, ORGANISATION = "owner@demo.example", "Demo"


class Command(BaseCommand):
    """A second start works on the data that is there."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Whether to stay."""
        parser.add_argument("--exit", action="store_true", help="end after the story")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit code 1 when a verdict is wrong or a proof fails."""
        # Redirected output keeps its lines whole.
        console = Console(width=None if sys.stdout.isatty() else 120)
        try:
            self._run(console, options)
        except SpellmarkError as error:
            console.print(f"[red]The demo stopped:[/] {error}", highlight=False)
            sys.exit(1)
        except KeyboardInterrupt:
            sys.exit(130)

    def _run(self, console: Console, options: dict[str, Any]) -> None:
        # Only the story needs torch, and only when it runs.
        from demo.client import Client
        from demo.people import Sizes
        from demo.story import DATA, Story, check_again, load_figures, table

        folder = settings.HOME / "demo"
        local = {
            # The suspects of the story live on this machine.
            "SPELLMARK_EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
            "SPELLMARK_DATA": str(DATA),
        }
        with ExitStack() as running:
            with console.status("Starting the database, the broker, the web process, a worker …"):
                platform = running.enter_context(
                    Platform(settings.HOME, port=options["port"], environment=local)
                )
            figures = load_figures(folder)
            if figures is None:
                owner = json.loads(
                    platform.manage(
                        "owner_create",
                        f"--email={EMAIL}",
                        f"--organisation={ORGANISATION}",
                        "--token=demo",
                        "--token-days=1",
                    )
                )
                if "password" in owner:
                    console.print(
                        f"Sign in as {EMAIL} with the password {owner['password']} "
                        "(shown this once)",
                        highlight=False,
                        soft_wrap=True,
                    )
                client = Client(platform.url, owner["token"])
                figures = Story(client, folder, Sizes(), console).tell()
            else:
                check_again(folder, figures)
                console.print("The story was told before; its bundles still verify.")
            console.print(table(figures))
            for name, path in figures.files.items():
                console.print(f"  {name}: {path}", highlight=False, soft_wrap=True)
            console.print(f"\nThe dashboard is at {platform.url}", highlight=False)
            if not options["exit"]:
                console.print(
                    f"Sign in as {EMAIL}; a lost password is replaced by "
                    f"`manage.py changepassword {EMAIL}`. Ctrl-C stops everything."
                )
                wait_for_stop(platform)
