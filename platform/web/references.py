"""The null pool: models that are known to be innocent, against which fingerprints are held."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.actors import READ, VERIFY, Actor
from registry.models import Version
from registry.selectors import version_list
from spellmark.evidence.fingerprint_rule import LEAST_OF_A_KIND
from spellmark.evidence.null_pool import KINDS
from verification.models import Reference
from verification.references import (
    MOST_EPOCHS,
    MOST_OF_A_KIND,
    USUAL_EPOCHS,
    USUAL_OF_A_KIND,
    pool_grow,
    reference_upload,
)
from verification.selectors import reference_list
from web.forms import submit
from web.protection import DatasetField
from web.uploads import stored
from web.viewer import form_page, page, paginate


class VersionField(forms.ModelChoiceField):
    """A published version that carries a model card."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Version.objects.none(), **kwargs)


def published(actor: Actor) -> Any:
    """The versions that can be compared with anything."""
    return version_list(actor=actor).filter(state=Version.State.PUBLISHED, card__isnull=False)


class GrowForm(forms.Form):
    """What the job trains; all but version and data set has a default."""

    version = VersionField(
        empty_label="choose one",
        label="Your model",
        help_text="The models are trained for its images and classes.",
    )
    dataset = DatasetField(label="Data set", help_text="The one that your model was trained on.")
    images = forms.IntegerField(
        min_value=100,
        required=False,
        label="Training images that your model has seen",
        help_text="So many from the beginning of the data set. Empty: all of them. The models of "
        "the kind “other data” learn from the rest.",
    )
    of_a_kind = forms.IntegerField(
        min_value=1,
        max_value=MOST_OF_A_KIND,
        initial=USUAL_OF_A_KIND,
        label="Models of each kind",
        help_text=f"A run needs {LEAST_OF_A_KIND} of each. With 99 of each it can show p = 0.01.",
    )
    epochs = forms.IntegerField(
        min_value=1,
        max_value=MOST_EPOCHS,
        initial=USUAL_EPOCHS,
        label="Epochs",
        help_text="As many as your own training took make the fairest comparison.",
    )
    organisation_wide = forms.BooleanField(
        required=False,
        label="Use them for all versions that take such images",
    )

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["version"].queryset = published(actor)


class UploadForm(forms.Form):
    """A model that somebody vouches for."""

    name = forms.CharField(max_length=100, help_text="What you call it.")
    kind = forms.ChoiceField(
        choices=[(kind, kind) for kind in KINDS],
        label="Kind",
        help_text="What it shares with your model: nothing but the task, the data, or the data "
        "and the architecture.",
    )
    dataset = DatasetField(label="Data set that it was trained on")
    version = VersionField(
        required=False, empty_label="all that take such images", label="Stands against"
    )
    file = forms.FileField(label="Model file", help_text="safetensors with a Spellmark model card.")

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["version"].queryset = published(actor)


@page(READ)
def references(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The organisation's null pool."""
    rows = reference_list(actor=actor)
    kinds = list(rows.order_by().values_list("kind", "source"))
    counts = [
        (kind, kinds.count((kind, "trained")), kinds.count((kind, "uploaded"))) for kind in KINDS
    ]
    context = {
        "references": paginate(request, rows),
        "counts": counts,
        "least": LEAST_OF_A_KIND,
    }
    return render(request, "verification/references.html", context)


@form_page(VERIFY)
def reference_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Grow the pool by a job, or bring a model; for the version that a page before led here."""
    sent, version = request.POST.get("kind_of_form"), request.GET.get("version", "")
    preset: dict[str, Any] = {"actor": actor, "initial": {"version": version}}
    grow = GrowForm(request.POST if sent == "grow" else None, **preset)
    upload = UploadForm(*((request.POST, request.FILES) if sent == "upload" else ()), **preset)
    if sent == "grow" and (job := submit(grow, pool_grow, actor=actor)):
        return redirect("web:job", job_id=job.id)
    if sent == "upload" and (row := submit(upload, _upload, actor=actor)):
        messages.success(request, f"{row} stands in the null pool now.")
        return redirect("web:references")
    context = {
        "grow": grow,
        "upload": upload,
        "sent": sent or request.GET.get("kind", "grow"),
        "version": version,
    }
    return render(request, "verification/reference_new.html", context)


@page(READ)
def reference_file(request: HttpRequest, actor: Actor, reference_id: UUID) -> FileResponse:
    """A reference's file, for those who want to score it themselves."""
    row = get_object_or_404(reference_list(actor=actor), id=reference_id)
    return stored(row.sha256, name=f"reference-{row.sha256[:12]}.safetensors")


def _upload(*, actor: Actor, file: Any, **told: Any) -> Reference:
    return reference_upload(actor=actor, chunks=file.chunks(), expected_size=file.size, **told)
