"""`sign`: sign a model's folder, as OpenSSF Model Signing does."""

import argparse
from concurrent.futures import ThreadPoolExecutor
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
    from spellmark.model_files.hashing import SHARD_BYTES, hash_folder

    shard_bytes = SHARD_BYTES if options.shards else None
    with ThreadPoolExecutor(1) as hashing:
        hashed = hashing.submit(
            hash_folder, options.folder, shard_bytes=shard_bytes, without=options.signature
        )
        # It takes a while to load what signs, in which the hashing has begun.
        from spellmark.certificates.keys import load_p256
        from spellmark.model_files.signature import sign_hashed

        key = load_p256(options.key)
        signature = sign_hashed(hashed.result(), key)
    options.signature.write_bytes(signature)
    print(f"signed: {options.signature}")
    return OK
