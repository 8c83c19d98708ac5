"""What makes an organisation's own editors of prompt locks, and where an editor lies."""

import uuid
from collections.abc import Iterable
from pathlib import Path

from django.db import IntegrityError, transaction

from accounts.actors import WRITE, Actor
from config.validation import validate
from jobs.models import Job
from jobs.services import job_create, job_finish
from protection.errors import ProtectionError
from protection.models import Editor
from registry import storage
from spellmark.locks.prompt_lock.editor_file import OWNERS_STEPS, check_editor_file
from spellmark.locks.prompt_lock.public_editor import PUBLIC, public_digest
from spellmark.secrets import KeyFile

EDITOR_JOB = "editor-training"

# So few teach it nothing; the pages say so.
LEAST_STEPS = 20
MOST_STEPS = 20_000


def editor_path(organisation_id: uuid.UUID, digest: str) -> Path:
    """Where an editor that the organisation can use lies. Raises ProtectionError, StorageError."""
    if digest == public_digest():
        return PUBLIC
    if not Editor.objects.filter(organisation_id=organisation_id, digest=digest).exists():
        raise ProtectionError(
            f"The editor {digest[:12]}… is not known here.",
            hint="Upload its file as an editor, or use the one that comes with Spellmark.",
        )
    return storage.path_of(digest)


def other_editors(organisation_id: uuid.UUID, digest: str) -> list[str]:
    """The digests of all editors but this one that the organisation can use.

    The public one comes first, then the organisation's own, oldest first.
    """
    own = Editor.objects.filter(organisation_id=organisation_id).exclude(digest="")
    known = [public_digest(), *own.order_by("created_at").values_list("digest", flat=True)]
    return [other for other in known if other != digest]


def editor_upload(
    *, actor: Actor, name: str, chunks: Iterable[bytes], expected_size: int | None = None
) -> Editor:
    """Take a file that `spellmark editor train` wrote.

    Its header is checked; a worker that loads it is the final judge. Raises StorageError,
    ModelFileError, PromptLockError and ProtectionError.
    """
    actor.require(WRITE)
    with storage.receive(chunks, expected_size=expected_size) as incoming:
        check_editor_file(incoming.path)
        if incoming.sha256 == public_digest():
            raise ProtectionError(
                "This is the editor that comes with Spellmark: everybody has it.",
                hint="Train one of your own.",
            )
        editor = Editor(
            organisation=actor.organisation,
            name=name,
            digest=incoming.sha256,
            created_by=actor.name,
        )
        validate(editor, ProtectionError)
        with transaction.atomic():
            _save(editor)
            storage.keep(incoming)
    return editor


@transaction.atomic
def editor_train(
    *, actor: Actor, name: str, key: KeyFile, dataset: str, steps: int = OWNERS_STEPS
) -> Editor:
    """Start the job that makes the public editor one that only this key's holder has.

    steps: of training; fewer leave it too much like the public one. Raises ProtectionError.
    """
    actor.require(WRITE)
    if not LEAST_STEPS <= steps <= MOST_STEPS:
        raise ProtectionError(
            f"An editor is trained in {LEAST_STEPS} to {MOST_STEPS:,} steps.",
            hint=f"{OWNERS_STEPS:,} suit most.",
        )
    editor = Editor(
        organisation=actor.organisation,
        name=name,
        # The commitment tells an owner later which key file it was, and nobody else anything.
        settings={"dataset": dataset, "steps": steps, "commitment": key.commitment()},
        created_by=actor.name,
    )
    editor.job = job_create(
        organisation_id=actor.organisation.id,
        kind=EDITOR_JOB,
        title=f"Train the editor “{name}”",
        queue="gpu",
        payload={"editor": str(editor.id)},
        created_by=actor.name,
        secret={"key": key.dumps()},
    )
    validate(editor, ProtectionError)
    editor.save()
    return editor


def editor_finish(*, editor: Editor, job: Job, file: Path) -> None:
    """Keep the trained editor's file, and end the job. Raises ProtectionError."""
    digest = storage.put(file.read_bytes())

    def record() -> None:
        editor.digest = digest
        _save(editor)

    job_finish(job=job, record=record)


def _save(editor: Editor) -> None:
    """Raises ProtectionError where the organisation has the same editor already."""
    try:
        with transaction.atomic():
            editor.save()
    except IntegrityError:
        raise ProtectionError(
            "Your organisation has this very editor already.",
            hint="The same key, photos and steps make the same editor: use the one that is there.",
        ) from None
