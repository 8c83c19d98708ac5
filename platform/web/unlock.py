"""The unlock page: an image and the key file in, the model's answer out."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.actors import READ, Actor
from protection.models import Unlock
from protection.selectors import protection_list, unlock_list
from protection.services import card_of
from protection.unlocks import changes, unlock_create
from protection.words import KIND_WORDS
from spellmark.locks.prompt_lock.public_editor import public_digest
from web.forms import ImageFileField, KeyFileField, submit
from web.viewer import form_page, page


class UnlockForm(forms.Form):
    """An image, and the key that the model wants it under."""

    image = ImageFileField(
        label="Image", help_text="PNG, JPEG, BMP or WebP. Another size or colour is converted."
    )
    key_file = KeyFileField(
        label="Key file",
        help_text="The .spellkey of this lock. Image and key are sealed for this one answer and "
        "erased when it is there.",
    )


@form_page(READ)
def unlock(request: HttpRequest, actor: Actor, protection_id: UUID) -> HttpResponse:
    """Use a locked model as those do who have its key."""
    finished = (
        protection_list(actor=actor)
        .filter(result__isnull=False)
        .exclude(kind__in=("trigger", "external-feature"))
    )
    row = get_object_or_404(finished, id=protection_id)
    form = UnlockForm(request.POST or None, request.FILES or None)
    if request.method == "POST":
        made = submit(form, _start, actor=actor, protection=row)
        if request.htmx:
            return _answer(request, made) if made else _refused(request, form)
        if made:
            return redirect("web:unlock-answer", unlock_id=made.id)
    editor = row.commitment.parameters.get("editor", public_digest())
    context = {
        "protection": row,
        "kind": KIND_WORDS[row.kind],
        "card": card_of(row.result),
        "form": form,
        "has_own_editor": editor != public_digest(),
        "file": row.result.files.filter(format="safetensors").first(),
    }
    return render(request, "protection/unlock.html", context)


@page(READ)
def unlock_answer(request: HttpRequest, actor: Actor, unlock_id: UUID) -> HttpResponse:
    """The answer to an image, so far."""
    return _answer(request, get_object_or_404(unlock_list(actor=actor), id=unlock_id))


@page(READ)
def unlock_picture(request: HttpRequest, actor: Actor, unlock_id: UUID) -> HttpResponse:
    """The image as the model took it; no cache keeps it."""
    row = get_object_or_404(unlock_list(actor=actor), id=unlock_id)
    if row.picture is None:
        raise Http404
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(bytes(row.picture), content_type="image/png", headers=headers)


def _start(*, key_file: Any, **arguments: Any) -> Unlock:
    return unlock_create(key=key_file, **arguments)


def _answer(request: HttpRequest, row: Unlock) -> HttpResponse:
    """A part of the unlock page, or a page of its own for browsers without script."""
    context = {"unlock": row, "changes": changes(row)}
    if request.htmx:
        return render(request, "protection/answer.html", context)
    return render(request, "protection/answer_page.html", context)


def _refused(request: HttpRequest, form: UnlockForm) -> HttpResponse:
    return render(request, "protection/trial_refused.html", {"form": form})
