"""Run a witness: it cosigns the checkpoints of logs that only ever grow.

It has its own key and its own memory in a folder of its own, and needs neither the platform's
database nor its keys. Run it on another machine, better still by other people.
"""

import os
import signal
import threading
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from spellmark.certificates import keys
from spellmark.certificates.cosignatures import HAS_ML_DSA
from spellmark.certificates.notes import COSIGNATURE, ML_DSA_44, Signer, Verifier
from spellmark.certificates.witness import Witness
from spellmark.certificates.witness_server import serve
from spellmark.errors import SpellmarkError


class Command(BaseCommand):
    """Serves `add-checkpoint` until a signal comes."""

    help = __doc__
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose checkpoints, where, under which name."""
        parser.add_argument("--folder", type=Path, required=True, help="its key and its memory")
        parser.add_argument("--name", required=True, help="such as witness.example.org/w1")
        parser.add_argument(
            "--log",
            action="append",
            required=True,
            metavar="VKEY",
            help="a key of a log, from its policy file; once for each key",
        )
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8100)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the lines for the log's policy file, then serve."""
        folder: Path = options["folder"]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            signers = _signers(folder, options["name"])
            logs: dict[str, list[Verifier]] = {}
            for verifier in map(Verifier.from_vkey, options["log"]):
                logs.setdefault(verifier.name, []).append(verifier)
            server = serve(
                Witness(folder / "witness.sqlite", logs, signers), options["host"], options["port"]
            )
        except (SpellmarkError, OSError) as error:
            raise CommandError(str(error)) from None
        url = f"http://{options['host']}:{server.server_address[1]}"
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(
                stop, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start()
            )
        # Two witnesses must not have one name in a policy file.
        short = options["name"].rstrip("/").rpartition("/")[2]
        for signer, suffix in zip(signers, ("", "-ml-dsa"), strict=False):
            self.stdout.write(f"witness {short}{suffix} {signer.verifier.vkey} {url}")
        self.stdout.flush()
        server.serve_forever(poll_interval=0.2)
        server.server_close()


def _signers(folder: Path, name: str) -> list[Signer]:
    """The witness's keys, made at first start; encrypted if it was given a passphrase."""
    text = os.environ.get("SPELLMARK_WITNESS_PASSPHRASE", "")
    passphrase = text.encode() or None
    kinds: list[tuple[str, int, Any]] = [("witness.pem", COSIGNATURE, keys.generate_ed25519)]
    if HAS_ML_DSA:
        kinds.append(("witness-ml-dsa-44.pem", ML_DSA_44, keys.generate_ml_dsa_44))
    signers = []
    for file, kind, generate in kinds:
        if not (folder / file).exists():
            keys.save(generate(), folder / file, passphrase)
        private: Any = keys.load(folder / file, passphrase)
        signers.append(Signer(name, private, kind))
    return signers
