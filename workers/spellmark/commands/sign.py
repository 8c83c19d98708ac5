"""`sign`: sign a model's folder, as OpenSSF Model Signing does."""

import argparse
from pathlib import Path
from typing import Any

from spellmark.commands import OK


def add(commands: Any) -> None:
    """Add the command to the parser."""
    sign = commands.add_parser("sign", help="sign a model's folder (OpenSSF Model Signing v1.0)")
    sign.add_argument("folder", type=Path)
    sign.add_argument("--key", type=Path, required=True, help="a P-256 private key, PEM")
    sign.add_argument("--signature", type=Path, required=True, help="where the signature goes")
    sign.add_argument(
        "--shards",
        action="store_true",
        help="hash shards of 64 MiB, so that all processors work on one large file; the command "
        "`model_signing verify` refuses such signatures, its library accepts them",
    )
    sign.set_defaults(run=_sign)


def _sign(options: argparse.Namespace) -> int:
    from spellmark.certificates.keys import load_p256
    from spellmark.model_files.signature import SHARD_BYTES, sign_folder

    signature = sign_folder(
        options.folder,
        load_p256(options.key),
        shard_bytes=SHARD_BYTES if options.shards else None,
        without=options.signature,
    )
    options.signature.write_bytes(signature)
    print(f"signed: {options.signature}")
    return OK
