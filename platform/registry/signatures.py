"""Registered versions as OpenSSF model signatures, from the digests taken at upload."""

from ledger.keys import certificate_key
from registry.models import Version
from registry.services import RegistryError
from spellmark.model_files.signature import sign_digests


def version_signature(version: Version) -> bytes:
    """The version's `model.sig`, which `model_signing verify key` accepts. Raises RegistryError.

    No byte of the files is read: a published version's files never change.
    """
    if version.state != Version.State.PUBLISHED:
        raise RegistryError("A draft has no signature.", hint="Publish the version first.")
    digests = {file.name: file.sha256 for file in version.files.all()}
    return sign_digests(version.model.name, digests, certificate_key(), ignored=("model.sig",))
