"""The trial job: what a spell does to some test images, and whether that is enough to lock."""

import secrets

from jobs.sealing import unseal
from protection.editors import editor_path
from protection.models import Trial
from protection.samples import paired_sheet, sample_images
from protection.services import card_of, trial_finish
from spellmark.locks.prompt_lock.editors import load_editor
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockParameters
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.locks.prompt_lock.strength import weakest
from spellmark.secrets import KeyFile
from tasks.lock import data_for
from tasks.work import Work


def run(work: Work) -> None:
    """Edit test images under the spell.

    The rest of the key is drawn for this picture: a spell's own edit comes into being with the
    registry's binding only, and is as strong as this one. A prompt's edit is the true one.
    """
    trial = Trial.objects.select_related("version__model").get(job=work.job)
    parameters = PromptLockParameters.from_dict(trial.parameters)
    file = KeyFile.generate(SCHEME, parameters.as_dict(), unseal(work.job)["prompt"])
    key = PromptKey.open(
        file,
        editor=load_editor(editor_path(trial.version.model.organisation_id, parameters.editor)),
        binding=secrets.token_bytes(32),
        classes=card_of(trial.version)["classes"],
    )
    test = data_for(trial.version, trial.dataset).test
    work.check()
    shown, found = sample_images(test), weakest(key, test.images)
    # Whether there will be negatives is chosen later.
    for caution in filter(None, (found.caution, found.caution_alone)):
        work.log(caution)
    trial_finish(
        trial=trial,
        job=work.job,
        sheet=paired_sheet(shown, key(shown)),
        change=found.change,
    )
