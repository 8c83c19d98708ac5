"""Editors of prompt locks that an organisation has for itself: train, upload, download."""

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from accounts.actors import READ, WRITE, Actor
from protection.editors import LEAST_STEPS, MOST_STEPS, editor_train, editor_upload
from protection.models import Editor
from protection.selectors import editor_list
from spellmark.locks.prompt_lock.editor_file import FORMAT, OWNERS_STEPS
from web.forms import KeyFileField, submit
from web.protection import DatasetField
from web.uploads import body_chunks, content_length, stored
from web.viewer import form_page, page, paginate


class TrainingForm(forms.Form):
    """An editor to train; what the training needs has a default."""

    name = forms.CharField(
        max_length=100, help_text="What you call it, such as “Editor of the shop”."
    )
    key_file = KeyFileField(
        label="Key file",
        help_text="The secret that the editor is made from. It is sealed for this one job and "
        "erased when the job ends.",
    )
    dataset = DatasetField(
        label="Photos to learn on",
        help_text="It learns on drawn pictures too, so any photos will do.",
    )
    steps = forms.IntegerField(
        min_value=LEAST_STEPS,
        max_value=MOST_STEPS,
        initial=OWNERS_STEPS,
        label="Steps of training",
        help_text="The fewer, the more the editor stays like ours, which everybody has. "
        f"{OWNERS_STEPS:,} take about six minutes.",
    )


class FileForm(forms.Form):
    """An editor's file, for browsers without JavaScript."""

    name = forms.CharField(
        max_length=100, required=False, help_text="What you call it; else the file's own name."
    )
    file = forms.FileField(
        label="Editor file", help_text="The safetensors file that “spellmark editor train” wrote."
    )


@page(READ)
def editors(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The organisation's own editors."""
    rows = paginate(request, editor_list(actor=actor))
    return render(request, "protection/editors.html", {"editors": rows})


@form_page(WRITE)
def editor_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Train an editor, or bring one."""
    sent = request.POST.get("kind")
    training = TrainingForm(*((request.POST, request.FILES) if sent == "training" else ()))
    file_form = FileForm(*((request.POST, request.FILES) if sent == "file" else ()))
    if sent == "training" and (made := submit(training, _train, actor=actor)):
        return redirect("web:job", job_id=made.job_id)
    if sent == "file" and (made := submit(file_form, _upload, actor=actor)):
        _welcome(request, made)
        return redirect("web:editors")
    context = {
        "training": training,
        "file_form": file_form,
        "sent": sent or request.GET.get("kind", "training"),
        "scheme": FORMAT,
        "most_bytes": settings.MAX_FILE_BYTES,
    }
    return render(request, "protection/editor_new.html", context)


@page(WRITE, methods=("PUT",))
def editor_put(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Take an editor's file as the raw body that upload.js sends."""
    made = editor_upload(
        actor=actor,
        name=name,
        chunks=body_chunks(request),
        expected_size=content_length(request),
    )
    _welcome(request, made)
    return JsonResponse({"next": reverse("web:editors")}, status=201)


@page(WRITE)
def editor_file(request: HttpRequest, actor: Actor, editor_id: UUID) -> FileResponse:
    """The editor's file, as secret as a key file."""
    row = get_object_or_404(editor_list(actor=actor).exclude(digest=""), id=editor_id)
    return stored(row.digest, name=f"editor-{row.digest[:12]}.safetensors")


def _welcome(request: HttpRequest, made: Editor) -> None:
    messages.success(request, f"{made} can be chosen for prompt locks now.")


def _train(*, key_file: Any, **arguments: Any) -> Editor:
    return editor_train(key=key_file, **arguments)


def _upload(*, actor: Actor, name: str, file: Any) -> Editor:
    return editor_upload(
        actor=actor,
        name=name or file.name[:100],
        chunks=file.chunks(),
        expected_size=file.size,
    )
