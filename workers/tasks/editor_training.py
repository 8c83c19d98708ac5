"""The editor job: the public editor becomes one that only the holder of a key file has."""

from jobs.sealing import unseal
from protection.editors import editor_finish
from protection.models import Editor
from spellmark.locks.prompt_lock.editors import load_editor
from spellmark.locks.prompt_lock.train_editor import train_owners
from spellmark.secrets import KeyFile
from spellmark.training import datasets
from tasks.work import Work


def run(work: Work) -> None:
    """Train the editor; a lost worker's successor goes on where it was."""
    editor = Editor.objects.get(job=work.job)
    secret = KeyFile.loads(unseal(work.job)["key"]).secret
    photos = datasets.load(editor.settings["dataset"]).train.images

    def show(share: float, step: str) -> None:
        work.progress(share, step)
        work.log(step)

    with work.scratch() as scratch:
        # As secret as the key: nobody else on the machine reads it.
        folder = scratch / "editor"
        folder.mkdir(mode=0o700, exist_ok=True)
        file = folder / "editor.safetensors"
        train_owners(
            secret,
            photos,
            file,
            steps=editor.settings["steps"],
            checkpoint=folder / "checkpoint.pt",
            progress=show,
        )
        load_editor(file)
        work.check()
        editor_finish(editor=editor, job=work.job, file=file)
