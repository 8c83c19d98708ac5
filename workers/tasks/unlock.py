"""The unlock job: what a locked model says to one image, with its key and without."""

import base64
import io

from jobs.sealing import unseal
from protection.models import Unlock
from protection.unlocks import unlock_finish
from spellmark.locks.unlock import Unlocked
from spellmark.model_files.pictures import read_picture
from spellmark.secrets import KeyFile
from spellmark.training import weights
from tasks.lock import model_path, opened_key
from tasks.work import Work


def run(work: Work) -> None:
    """Ask the protection's locked version about the sealed image."""
    unlock = Unlock.objects.select_related(
        "protection__source__model", "protection__result__model", "protection__commitment"
    ).get(job=work.job)
    protection, sealed = unlock.protection, unseal(work.job)
    model, card = weights.load(model_path(protection.result))
    key = opened_key(protection.source, protection.commitment, KeyFile.loads(sealed["key"]))
    unlocked = Unlocked(model, card, key)
    picture = base64.b64decode(sealed["image"])
    images = read_picture(io.BytesIO(picture), card)[None]
    work.check()
    unlock_finish(
        unlock=unlock,
        job=work.job,
        picture=picture,
        with_key=unlocked.probabilities(images)[0].tolist(),
        without_key=unlocked.without_key(images)[0].tolist(),
    )
