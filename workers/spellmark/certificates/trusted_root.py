"""`trusted_root.json`: the trust file in the form that Sigstore's clients read.

It holds the logs by their Ed25519 keys, each with its time (`publicKey.validFor`, as in Sigstore's
protobuf-specs), and the timestamp authorities. `baseUrl` is the origin in a log's checkpoints, and
`logId` the key id in their signature lines: by these two clients find the log's key. Keys that sign
certificates have no place in that format: clients take them beside it, by the key hint (cosign's
--key).
"""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from spellmark.certificates.encoding import to_base64, to_time
from spellmark.certificates.notes import ED25519
from spellmark.certificates.timestamps import load_authority
from spellmark.certificates.trust import LogKey, Trust

MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"


def trusted_root(trust: Trust) -> dict[str, Any]:
    """The trusted root as a JSON object."""
    return {
        "mediaType": MEDIA_TYPE,
        "tlogs": [_log(key) for key in trust.log_keys if key.verifier.kind == ED25519],
        "certificateAuthorities": [],
        "ctlogs": [],
        "timestampAuthorities": [_authority(pem) for pem in trust.timestamp_authorities],
    }


def _log(key: LogKey) -> dict[str, Any]:
    public = Ed25519PublicKey.from_public_bytes(key.verifier.public_key)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public_key: dict[str, Any] = {"rawBytes": to_base64(der), "keyDetails": "PKIX_ED25519"}
    # A key without an end has none here, either.
    times = {"start": key.valid_from, "end": key.valid_until}
    if known := {name: to_time(at) for name, at in times.items() if at}:
        public_key["validFor"] = known
    return {
        "baseUrl": key.origin,
        "hashAlgorithm": "SHA2_256",
        "publicKey": public_key,
        "logId": {"keyId": to_base64(key.verifier.key_id)},
    }


def _authority(pem: str) -> dict[str, Any]:
    chain = load_authority(pem)
    names = {part.rfc4514_attribute_name: part.value for part in chain[0].subject}
    return {
        "subject": {
            "organization": str(names.get("O", "")),
            "commonName": str(names.get("CN", "")),
        },
        "certChain": {
            "certificates": [
                {"rawBytes": to_base64(one.public_bytes(Encoding.DER))} for one in chain
            ]
        },
        "validFor": {
            # All of the chain has to be valid.
            "start": to_time(max(one.not_valid_before_utc for one in chain)),
            "end": to_time(min(one.not_valid_after_utc for one in chain)),
        },
    }
