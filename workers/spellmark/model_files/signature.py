"""Model signatures in the format of OpenSSF Model Signing v1.0 (OMS), with a bare P-256 key.

A signature is a Sigstore bundle with a DSSE envelope around an in-toto Statement. Its subject is
the root digest, SHA-256 over the raw digests of all resources in their order; the resources are
the files, or shards of them. A registered version needs no hashing: its digests were taken while
its bytes streamed in.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from spellmark.certificates import dsse, keys
from spellmark.certificates.encoding import to_json
from spellmark.certificates.statements import PAYLOAD_TYPE, STATEMENT_TYPE
from spellmark.model_files.digests import oms_root_digest
from spellmark.model_files.hashing import IGNORED, file_digests, model_files, shard_digests

PREDICATE_TYPE = "https://model_signing/signature/v1.0"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SHARD_BYTES = 64 << 20


def sign_digests(
    name: str,
    digests: Mapping[str, str],
    key: EllipticCurvePrivateKey,
    *,
    ignored: Sequence[str] = IGNORED,
) -> bytes:
    """Sign a model whose files' SHA-256 digests (hex, by name) are known: the `.sig` file.

    Raises ModelFileError for no files, or for names and digests that are none.
    """
    resources = [
        {"name": file, "algorithm": "sha256", "digest": digests[file]} for file in sorted(digests)
    ]
    serialization = {
        "method": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
        "ignore_paths": list(ignored),
    }
    return _sign(name, oms_root_digest(digests), serialization, resources, key)


def sign_folder(
    folder: Path,
    key: EllipticCurvePrivateKey,
    *,
    shard_bytes: int | None = None,
    without: Path | None = None,
) -> bytes:
    """Sign the files under a folder, hashing them in threads: the `.sig` file.

    `without` is the signature's own place, if it lies in the folder too. Whole files give the root
    digest of a registered version. With `shard_bytes` all processors work on one large file, but
    verifiers must then take the shards' size from the signature.
    Raises HashingError.
    """
    files = model_files(folder, without=without)
    ignored = [*IGNORED, *_inside(folder, without)]
    name = folder.resolve().name
    # An empty file has no shards, so that shards alone would not vouch for it.
    if shard_bytes is None or any(not path.stat().st_size for path in files.values()):
        return sign_digests(name, file_digests(files), key, ignored=ignored)
    digests = shard_digests(files, shard_bytes)
    algorithm = f"sha256-sharded-{shard_bytes}"
    resources = [
        {"name": f"{file}:{start}:{end}", "algorithm": algorithm, "digest": digest}
        for (file, start, end), digest in digests.items()
    ]
    serialization = {
        "method": "shards",
        "hash_type": "sha256",
        "shard_size": shard_bytes,
        "allow_symlinks": False,
        "ignore_paths": ignored,
    }
    joined = b"".join(bytes.fromhex(digest) for digest in digests.values())
    return _sign(name, hashlib.sha256(joined).hexdigest(), serialization, resources, key)


def _inside(folder: Path, path: Path | None) -> list[str]:
    if path is None or not path.resolve().is_relative_to(folder.resolve()):
        return []
    return [path.resolve().relative_to(folder.resolve()).as_posix()]


def _sign(
    name: str,
    root: str,
    serialization: dict[str, Any],
    resources: Sequence[dict[str, str]],
    key: EllipticCurvePrivateKey,
) -> bytes:
    payload = to_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": root}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {"serialization": serialization, "resources": list(resources)},
        }
    )
    signed = dsse.sign(PAYLOAD_TYPE, payload, key)
    # This format names a key by the hash of its PEM text, not of its DER bytes.
    hint = hashlib.sha256(keys.public_pem(key.public_key()).encode()).hexdigest()
    return to_json(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
            "dsseEnvelope": replace(signed, keyid=hint).to_json(),
        }
    )
