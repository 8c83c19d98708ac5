"""The style job: train a version on restyled images, see that no harm is done, register it."""

from dataclasses import replace

from jobs.sealing import unseal
from protection.features import feature_finish
from protection.models import Protection
from protection.services import check_opens
from spellmark.secrets import KeyFile
from spellmark.training import weights
from spellmark.watermarks.external_feature import Style
from spellmark.watermarks.external_feature.embed import RECIPE, embed
from spellmark.watermarks.external_feature.examine import measure
from tasks.lock import data_for, model_path
from tasks.work import Work

TRAINING_SHARE = 0.95


def run(work: Work) -> None:
    """Teach the protection's source version its style."""
    protection = Protection.objects.select_related(
        "source__model", "commitment", "organisation"
    ).get(job=work.job)
    style = opened_style(protection, KeyFile.loads(unseal(work.job)["key"]))
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
            style,
            share=settings["share"],
            recipe=replace(RECIPE, epochs=settings["epochs"]),
            checkpoint=scratch / "checkpoint.pt",
            progress=show,
        )
        work.progress(TRAINING_SHARE, "measuring")
        found = measure(model, unmarked, card, style, data.test, nonce=protection.id.bytes * 2)
        work.log(
            f"scores {found.score:.2f} in the style, {found.score_before:.2f} before; right on "
            f"{found.accuracy_after:.1%} of the test images, {found.accuracy_before:.1%} before"
        )
        found.require()
        marked = scratch / "marked.safetensors"
        weights.save(model, replace(card, description="Knows a style of its owner's."), marked)
        work.check()
        feature_finish(
            protection=protection, job=work.job, marked=marked, report_card=found.as_dict()
        )


def opened_style(protection: Protection, key: KeyFile) -> Style:
    """The style of an external feature. Raises what `check_opens` and `Style.open` raise."""
    check_opens(key, protection.commitment)
    return Style.open(
        key,
        owner=str(protection.organisation_id),
        binding=bytes.fromhex(protection.commitment.binding),
    )
