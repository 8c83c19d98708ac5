"""What changes the registry."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from accounts.actors import MANAGE, WRITE, Actor
from config.validation import validate
from ledger.services import certificate_issue
from registry import storage
from registry.models import Alias, Commitment, File, Model, Version
from spellmark.certificates.statements import Registration
from spellmark.errors import SpellmarkError
from spellmark.model_files.card import METADATA_KEY, ModelCard
from spellmark.model_files.digests import oms_root_digest
from spellmark.model_files.inspect import ModelFileInfo, inspect_model_file

REGISTRATION = "registration"
MAX_FILES = 1000


class RegistryError(SpellmarkError):
    """A request that the registry cannot follow."""


def model_create(
    *, actor: Actor, name: str, description: str = "", tags: Sequence[str] = ()
) -> Model:
    """Register a model under a name that is new in the organisation. Raises RegistryError."""
    actor.require(WRITE)
    model = Model(
        organisation=actor.organisation,
        name=name,
        description=description,
        tags=_clean_tags(tags),
        created_by=actor.name,
    )
    _save(model)
    return model


def model_update(
    *, actor: Actor, model: Model, description: str | None = None, tags: Sequence[str] | None = None
) -> Model:
    """Change what describes a model; its name stays."""
    actor.require(WRITE)
    if description is not None:
        model.description = description
    if tags is not None:
        model.tags = _clean_tags(tags)
    _save(model)
    return model


@transaction.atomic
def version_create(
    *,
    actor: Actor,
    model: Model,
    notes: str = "",
    parent: Version | None = None,
    derivation: str = "",
) -> Version:
    """Open the next version as a draft that takes files."""
    actor.require(WRITE)
    Model.objects.select_for_update().get(id=model.id)  # so that numbers come one by one
    last = model.versions.aggregate(last=Max("number"))["last"] or 0
    version = Version(
        model=model,
        number=last + 1,
        notes=notes,
        parent=parent,
        derivation=derivation,
        created_by=actor.name,
    )
    _save(version)
    return version


def file_upload(
    *,
    actor: Actor,
    version: Version,
    name: str,
    chunks: Iterable[bytes],
    expected_size: int | None = None,
    expected_sha256: str | None = None,
) -> File:
    """Stream a file into a draft, hashing and checking it; it is kept whole or not at all.

    Raises StorageError, ModelFileError, RegistryError.
    """
    actor.require(WRITE)
    _check_draft(version)
    _check_file_name(name)
    with storage.receive(chunks, expected_size=expected_size) as incoming:
        if expected_sha256 and incoming.sha256 != expected_sha256.lower():
            raise RegistryError(
                "The bytes that arrived do not have the announced SHA-256.",
                hint="Nothing was kept. Send the file again.",
            )
        info = inspect_model_file(incoming.path)
        summary = _summary(info)
        with transaction.atomic():
            _check_draft(Version.objects.select_for_update().get(id=version.id))
            if version.files.count() >= MAX_FILES:
                raise RegistryError(
                    f"A version takes at most {MAX_FILES} files.", hint="Join the shards."
                )
            file, _ = File.objects.update_or_create(
                version=version,
                name=name,
                defaults={
                    "sha256": incoming.sha256,
                    "size": incoming.size,
                    "format": info.format,
                    "summary": summary,
                },
            )
            storage.keep(incoming)
    return file


@transaction.atomic
def version_publish(
    *,
    actor: Actor,
    version: Version,
    commitment: Commitment | None = None,
) -> Version:
    """Freeze a draft: root digest, registration certificate, log entry. Raises RegistryError."""
    actor.require(WRITE)
    version = Version.objects.select_for_update().select_related("model").get(id=version.id)
    _check_draft(version)
    files = list(version.files.all())
    if not files:
        raise RegistryError("A version without files cannot be published.", hint="Upload one.")
    version.root_digest = oms_root_digest({file.name: file.sha256 for file in files})
    version.card = next((f.summary["card"] for f in files if f.summary.get("card")), None)
    version.state = Version.State.PUBLISHED
    version.published_at = timezone.now()
    version.certificate_id = _register(actor, version, commitment)
    version.save()
    return version


@transaction.atomic
def commitment_create(
    *, actor: Actor, version: Version, digest: str, scheme: str, parameters: Mapping[str, Any]
) -> Commitment:
    """Take the hash of a secret for a published version, and draw the binding.

    The binding is drawn only now, so the secret was fixed before anybody could know what would be
    derived from it. Raises RegistryError.
    """
    actor.require(WRITE)
    if version.state != Version.State.PUBLISHED:
        raise RegistryError("A draft takes no commitments.", hint="Publish the version first.")
    _check_parameters(parameters)
    commitment = Commitment(
        version=version,
        digest=digest.lower(),
        scheme=scheme,
        parameters=dict(parameters),
        binding=secrets.token_hex(32),
        created_by=actor.name,
    )
    validate(commitment, RegistryError, exclude=["certificate_id"])
    commitment.certificate_id = _register(actor, version, commitment)
    commitment.save()
    return commitment


def alias_set(
    *, actor: Actor, model: Model, name: str, version: Version, protected: bool | None = None
) -> Alias:
    """Point an alias at a published version; a protected one is moved by owners only."""
    actor.require(WRITE)
    if version.model_id != model.id or version.state != Version.State.PUBLISHED:
        raise RegistryError(
            "An alias points at a published version of its own model.",
            hint="Publish the version first.",
        )
    alias = Alias.objects.filter(model=model, name=name).first() or Alias(model=model, name=name)
    if alias.protected or protected is not None:
        actor.require(MANAGE)
    alias.version, alias.moved_by = version, actor.name
    alias.protected = alias.protected if protected is None else protected
    _save(alias)
    return alias


def alias_delete(*, actor: Actor, alias: Alias) -> None:
    """Take an alias away; a protected one by owners only."""
    actor.require(MANAGE if alias.protected else WRITE)
    alias.delete()


def _register(actor: Actor, version: Version, commitment: Commitment | None) -> Any:
    title = f"{version} registered"
    if commitment:
        title = f"{version}: {commitment.scheme} {commitment.digest[:12]}…"
    certificate = certificate_issue(
        organisation_id=actor.organisation.id,
        kind=REGISTRATION,
        title=title,
        statement=Registration(
            model_digest=version.root_digest,
            model_name=version.model.name,
            version=version.number,
            organisation=actor.organisation.name,
            commitment=commitment.digest if commitment else None,
            binding=commitment.binding if commitment else None,
            scheme=commitment.scheme if commitment else None,
            parameters=commitment.parameters if commitment else {},
            registered_at=timezone.now(),
        ),
    )
    return certificate.id


def _summary(info: ModelFileInfo) -> dict[str, Any]:
    summary: dict[str, Any] = {"tensors": len(info.tensors)}
    if METADATA_KEY in info.metadata:
        summary["card"] = asdict(ModelCard.from_metadata(info.metadata))
    return summary


def _check_draft(version: Version) -> None:
    if version.state != Version.State.DRAFT:
        raise RegistryError(
            f"{version} is published; it never changes.", hint="Open a new version instead."
        )


def _check_file_name(name: str) -> None:
    safe = name and len(name) <= 200 and not name.startswith(".") and name.isprintable()
    if not safe or "/" in name or "\\" in name:
        raise RegistryError(
            "This is not a name for a file.",
            hint="Use letters, digits, dashes and dots, without slashes.",
        )


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    """Those of a key file (see spellmark.secrets): integers or text, few and short."""
    sound = len(parameters) <= 50 and all(
        len(name) <= 100 and name.isprintable() and _is_parameter(value)
        for name, value in parameters.items()
    )
    if not sound:
        raise RegistryError(
            "The parameters of a commitment are at most 50 names with a whole number or a short "
            "text each.",
            hint="Send what `spellmark commit` prints.",
        )


def _is_parameter(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 1000 and value.isprintable()
    return type(value) is int and abs(value) < 1 << 63


def _clean_tags(tags: Sequence[str]) -> list[str]:
    return sorted({tag.strip().lower() for tag in tags if tag.strip()})


def _save(instance: Any) -> None:
    validate(instance, RegistryError)
    instance.save()
