"""Run a Celery worker."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config.celery import app


class Command(BaseCommand):
    """One process whose threads share the loaded libraries; kill it and nothing is left over."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Which queues, and how many jobs at once."""
        parser.add_argument("--queues", default="gpu,egress,ledger")
        parser.add_argument("--concurrency", type=int, default=4)

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until told to stop."""
        app.worker_main(
            [
                "worker",
                "--include=tasks",
                "--pool=threads",
                f"--queues={options['queues']}",
                f"--concurrency={options['concurrency']}",
                "--loglevel=warning",
                "--without-gossip",
                "--without-mingle",
            ]
        )
