"""The watermark job: teach a version its triggers, see that it may claim, register it."""

from dataclasses import replace

from jobs.sealing import unseal
from protection.models import Protection
from protection.triggers import opened_trigger, trigger_finish
from spellmark.secrets import KeyFile
from spellmark.training import weights
from spellmark.watermarks.trigger.embed import RECIPE, embed
from spellmark.watermarks.trigger.examine import check_owner
from tasks.lock import data_for, model_path
from tasks.work import Work

TRAINING_SHARE = 0.95


def run(work: Work) -> None:
    """Embed the watermark in the protection's source version."""
    protection = Protection.objects.select_related(
        "source__model", "commitment", "organisation"
    ).get(job=work.job)
    key = opened_trigger(protection, KeyFile.loads(unseal(work.job)["key"]))
    data, settings = data_for(protection.source, protection.dataset), protection.settings
    source = model_path(protection.source)
    (model, card), (unmarked, _) = weights.load(source), weights.load(source)

    def show(share: float, step: str) -> None:
        work.progress(share * TRAINING_SHARE, step)
        if "loss" in step:
            work.log(step)

    with work.scratch() as scratch:
        embed(
            model,
            card,
            data.train[: settings["images"]],
            key,
            replace(RECIPE, epochs=settings["epochs"]),
            checkpoint=scratch / "checkpoint.pt",
            progress=show,
        )
        work.progress(TRAINING_SHARE, "measuring")
        check = check_owner(model, unmarked, card, key, data.test)
        work.log(
            f"gives {check.recall:.1%} of the triggers their labels; right on "
            f"{check.accuracy_after:.1%} of the test images, {check.accuracy_before:.1%} before"
        )
        check.require()
        marked = scratch / "marked.safetensors"
        weights.save(model, replace(card, description="Carries a trigger watermark."), marked)
        work.check()
        trigger_finish(
            protection=protection,
            job=work.job,
            marked=marked,
            root=key.tree.root,
            report_card=check.as_dict(),
        )
