"""The lock wizard: commit to a key, then start the training."""

import json
import re
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.actors import WRITE, Actor
from protection.services import key_lock_create, lock_geometry
from registry.models import Commitment, Version
from registry.selectors import commitment_list, version_list
from registry.services import commitment_create
from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock.transforms import SHUFFLE
from spellmark.training import datasets
from web.forms import KeyFileField, submit
from web.viewer import form_page

DIGEST = re.compile("[0-9a-fA-F]{64}")


class CommitmentForm(forms.Form):
    """A commitment as keys.js makes it and `spellmark commit` prints it."""

    commitment = forms.CharField(
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "class": "code"}),
        label="Commitment",
    )

    def __init__(self, *args: Any, version: Version, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.version = version

    def clean(self) -> dict[str, Any]:
        """Digest, scheme and parameters, fit for a lock on this version."""
        try:
            value = json.loads(self.cleaned_data.get("commitment", ""))
            digest, scheme, parameters = (value[k] for k in ("digest", "scheme", "parameters"))
            is_whole = bool(DIGEST.fullmatch(digest)) and isinstance(parameters, dict)
        except (ValueError, TypeError, KeyError, RecursionError):
            is_whole = False
        if not is_whole:
            raise forms.ValidationError(
                "This is not a commitment. Paste all that `spellmark commit` printed, "
                "from the first brace to the last."
            )
        wanted = Commitment(version=self.version, scheme=scheme, parameters=parameters)
        try:
            # Now, because a commitment that came in stays for good.
            lock_geometry(self.version, wanted)
        except SpellmarkError as error:
            raise forms.ValidationError(str(error)) from None
        return {"digest": digest, "scheme": scheme, "parameters": parameters}


class LockForm(forms.Form):
    """What the training needs; all but the key has a default."""

    key_file = KeyFileField(
        label="Key file",
        help_text="The .spellkey that was saved in step 1. It is sealed for this one job and "
        "erased when the job ends.",
    )
    dataset = forms.ChoiceField(
        label="Training images",
        help_text="Those that the model was trained on, or images like them.",
    )
    epochs = forms.IntegerField(
        min_value=1,
        max_value=1000,
        initial=8,
        label="Rounds of training",
        help_text="More rounds win back a little accuracy and take longer.",
    )
    images = forms.IntegerField(
        min_value=100,
        initial=6000,
        label="Images to train on",
        help_text="More images give a better locked model and take longer.",
    )
    wrong_keys = forms.IntegerField(
        min_value=10,
        max_value=10_000,
        initial=100,
        label="Wrong keys to try",
        help_text="For the report card: how the locked model does under this many random keys.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["dataset"].choices = [(name, name) for name in datasets.names()]


@form_page(WRITE)
def lock(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """Step 1: make a key, or bring one, and commit to it."""
    version = _version(actor, name, number)
    form = CommitmentForm(request.POST or None, version=version)
    if request.POST:
        commitment = submit(form, commitment_create, actor=actor, version=version)
        if commitment:
            messages.success(request, "The commitment is registered. The key stayed with you.")
            return redirect("web:lock-start", name=name, number=number, commitment_id=commitment.id)
    context = {
        "version": version,
        "form": form,
        "blocks": block_choices(version.card) if version.card else [],
        "scheme": SHUFFLE,
        "commitments": version.commitments.filter(scheme=SHUFFLE),
    }
    return render(request, "protection/lock.html", context)


@form_page(WRITE)
def lock_start(
    request: HttpRequest, actor: Actor, name: str, number: int, commitment_id: UUID
) -> HttpResponse:
    """Step 2: choose the images, hand in the key, start."""
    version = _version(actor, name, number)
    commitment = get_object_or_404(
        commitment_list(actor=actor).filter(version=version), id=commitment_id
    )
    form = LockForm(request.POST or None, request.FILES or None)
    if request.POST and (protection := submit(form, start, actor=actor, commitment=commitment)):
        return redirect("web:job", job_id=protection.job_id)
    context = {"version": version, "commitment": commitment, "form": form}
    return render(request, "protection/lock_start.html", context)


def start(*, key_file: Any, **arguments: Any) -> Any:
    """The service under the form's field names."""
    return key_lock_create(key=key_file, **arguments)


def block_choices(card: dict[str, Any]) -> list[dict[str, Any]]:
    """The block sizes that fit the model's images, each with a sentence, largest first.

    The one marked is half the image's side: the largest that leaves the image its rough shape.
    """
    height, width, channels = card["height"], card["width"], card["channels"]
    smaller = min(height, width)
    sizes = [m for m in range(smaller, 1, -1) if not (height % m or width % m)]
    marked = next((m for m in sizes if m <= smaller / 2), sizes[0] if sizes else None)
    return [
        {"size": m, "marked": m == marked, "help": _block_help(m, channels, height, width)}
        for m in sizes
    ]


def _block_help(size: int, channels: int, height: int, width: int) -> str:
    blocks, values = (height // size) * (width // size), channels * size * size
    shuffled = f"{blocks} {'block' if blocks == 1 else 'blocks'} of {values} values each"
    if values < 20:
        return f"{shuffled}: so few orders that a thief can search for one. Only for experiments."
    if blocks == 1:
        return f"{shuffled}: nothing keeps its place, which costs the most accuracy."
    if blocks <= 4:
        return f"{shuffled}: hard to undo without the key, and well learnt with it."
    return f"{shuffled}: a little more accuracy with the key, but easier to undo without it."


def _version(actor: Actor, name: str, number: int) -> Version:
    return get_object_or_404(
        version_list(actor=actor).filter(state=Version.State.PUBLISHED),
        model__name=name,
        number=number,
    )
