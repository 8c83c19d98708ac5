"""Models, versions, their files and aliases."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.actors import MANAGE, READ, WRITE, Actor
from protection.models import Protection
from protection.selectors import protection_list
from registry.models import Alias, Model, Version
from registry.selectors import model_list, tag_list, version_lineage, version_list
from registry.services import (
    alias_delete,
    alias_set,
    file_upload,
    model_create,
    model_update,
    version_create,
    version_publish,
)
from registry.signatures import version_signature
from spellmark.errors import SpellmarkError
from web.forms import TagsField, submit
from web.plots import accuracy_bars
from web.uploads import body_chunks, content_length, download, stored
from web.viewer import action, form_page, page, paginate


class DescriptionForm(forms.Form):
    """What describes a model and can be changed."""

    description = forms.CharField(
        required=False,
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What it does, for whom, and where it is served.",
    )
    tags = TagsField(
        required=False, help_text="Words to find it by, with commas between: vision, production."
    )


class ModelForm(DescriptionForm):
    """A new model."""

    name = forms.SlugField(
        max_length=100,
        help_text="Letters, digits and dashes, such as street-signs. The name stays for good.",
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
    )
    field_order = ["name", "description", "tags"]


class VersionForm(forms.Form):
    """A new draft."""

    notes = forms.CharField(
        required=False,
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What is new in it.",
    )
    parent = forms.ModelChoiceField(
        Version.objects.none(),
        required=False,
        label="Made from",
        empty_label="nothing that is registered here",
    )
    derivation = forms.CharField(
        required=False, max_length=50, label="How", help_text="Such as fine-tuned or pruned."
    )

    def __init__(self, *args: Any, versions: QuerySet[Version], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["parent"].queryset = versions.filter(state=Version.State.PUBLISHED)


class NumberField(forms.ModelChoiceField):
    """A version of a model that is known from the page, by its number."""

    def label_from_instance(self, version: Any) -> str:
        """Its number."""
        return f"version {version.number}"


class AliasForm(forms.Form):
    """An alias and where it points."""

    name = forms.SlugField(
        max_length=50,
        widget=forms.TextInput(attrs={"list": "aliases", "autocomplete": "off"}),
        help_text="A new one, or the name of one to move.",
    )
    version = NumberField(Version.objects.none(), label="Points at", empty_label=None)
    protected = forms.BooleanField(required=False, label="Only owners may move it")

    def __init__(
        self, *args: Any, actor: Actor, versions: QuerySet[Version], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["version"].queryset = versions.filter(state=Version.State.PUBLISHED)
        if not actor.may(MANAGE):
            del self.fields["protected"]


@page(READ)
def models(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The organisation's models, by name or tag."""
    search, tag = request.GET.get("q", "").strip(), request.GET.get("tag", "")
    context = {
        "models": paginate(request, model_list(actor=actor, search=search, tag=tag)),
        "tags": tag_list(actor=actor),
        "search": search,
        "tag": tag,
    }
    # Going back in the browser asks for the whole page again.
    is_part = request.htmx and not request.htmx.history_restore_request
    template = "registry/models_found.html" if is_part else "registry/models.html"
    return render(request, template, context)


@form_page(WRITE)
def model_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Register a model."""
    form = ModelForm(request.POST or None)
    if request.POST and (model := submit(form, model_create, actor=actor)):
        messages.success(request, f"{model} is registered. Now add its first version.")
        return redirect("web:model", name=model.name)
    return render(request, "registry/model_new.html", {"form": form})


@page(READ)
def model_page(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """One model with its versions and aliases."""
    return _show_model(request, actor, get_object_or_404(model_list(actor=actor), name=name))


@action(WRITE)
def model_edit(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Change a model's description and tags."""
    model = get_object_or_404(model_list(actor=actor), name=name)
    form = DescriptionForm(request.POST)
    if submit(form, model_update, actor=actor, model=model):
        return redirect("web:model", name=name)
    return _show_model(request, actor, model, {"edit_form": form})


@action(WRITE)
def version_new(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Open a draft."""
    model = get_object_or_404(model_list(actor=actor), name=name)
    form = VersionForm(request.POST, versions=version_list(actor=actor))
    if version := submit(form, version_create, actor=actor, model=model):
        return redirect("web:version", name=name, number=version.number)
    return _show_model(request, actor, model, {"version_form": form})


@action(WRITE)
def alias_move(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Set an alias, or move it."""
    model = get_object_or_404(model_list(actor=actor), name=name)
    form = AliasForm(request.POST, actor=actor, versions=_versions(actor, model))
    if alias := submit(form, alias_set, actor=actor, model=model):
        messages.success(request, f"{alias.name} now points at version {alias.version.number}.")
        return redirect("web:model", name=name)
    return _show_model(request, actor, model, {"alias_form": form})


@action(WRITE)
def alias_remove(request: HttpRequest, actor: Actor, name: str, alias: str) -> HttpResponse:
    """Take an alias away."""
    model = get_object_or_404(model_list(actor=actor), name=name)
    alias_delete(actor=actor, alias=get_object_or_404(model.aliases, name=alias))
    messages.success(request, f"The alias {alias} is gone. Its version stays.")
    return redirect("web:model", name=name)


@page(READ)
def version_page(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """One version: what it is, where it came from, what protects it."""
    version = _version(actor, name, number)
    lineage = version_lineage(version)
    protections = protection_list(actor=actor).filter(Q(source=version) | Q(result=version))
    hopeful = [row for row in protections if row.protected_version or not row.job.is_over]
    context = {
        "version": version,
        "files": version.files.all(),
        "aliases": version.aliases.all(),
        "lineage": lineage if len(lineage) > 1 else [],
        "children": version.children.select_related("model").order_by("number"),
        "commitments": version.commitments.all(),
        "protections": [
            (row, _bars(row)) for row in sorted(hopeful, key=lambda row: not row.protected_version)
        ],
        "in_vain": [row for row in protections if row not in hopeful],
        "is_locked": any(row.result == version for row in protections),
        "most_bytes": settings.MAX_FILE_BYTES,
    }
    return render(request, "registry/version.html", context)


@page(READ)
def version_signed(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """The version as an OpenSSF model signature."""
    body = version_signature(_version(actor, name, number))
    return download(body, name="model.sig", content_type="application/json")


@page(READ, methods=("GET", "HEAD", "PUT"))
def version_file(
    request: HttpRequest, actor: Actor, name: str, number: int, file: str
) -> HttpResponse | FileResponse:
    """Download a file; or take one into a draft, as the raw body that upload.js sends."""
    version = _version(actor, name, number)
    if request.method != "PUT":
        row = get_object_or_404(version.files, name=file)
        return stored(row.sha256, name=row.name)
    row = file_upload(
        actor=actor,
        version=version,
        name=file,
        chunks=body_chunks(request),
        expected_size=content_length(request),
    )
    return JsonResponse({"name": row.name, "sha256": row.sha256, "size": row.size}, status=201)


@action(WRITE)
def version_upload(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """Take files from an ordinary form, for browsers without JavaScript."""
    version = _version(actor, name, number)
    files = request.FILES.getlist("files")
    if not files:
        raise SpellmarkError("No file was chosen.", hint="Choose one, then upload it.")
    for file in files:
        file_upload(
            actor=actor,
            version=version,
            name=file.name,
            chunks=file.chunks(),
            expected_size=file.size,
        )
    return redirect("web:version", name=name, number=number)


@action(WRITE)
def version_freeze(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """Publish a draft."""
    version = version_publish(actor=actor, version=_version(actor, name, number))
    messages.success(request, f"{version} is published and registered in the ledger.")
    return redirect("web:version", name=name, number=number)


def _version(actor: Actor, name: str, number: int) -> Version:
    return get_object_or_404(version_list(actor=actor), model__name=name, number=number)


def _versions(actor: Actor, model: Model) -> QuerySet[Version]:
    return version_list(actor=actor).filter(model=model)


def _bars(protection: Protection) -> Any:
    marks = (Protection.Kind.DYNAMIC, Protection.Kind.TRIGGER, Protection.Kind.FEATURE)
    if protection.report_card is None or protection.kind in marks:
        return None
    return accuracy_bars(protection.report_card, classes=protection.source.card["classes"])


def _show_model(
    request: HttpRequest, actor: Actor, model: Model, forms_sent: Mapping[str, Any] | None = None
) -> HttpResponse:
    """The model's page; `forms_sent` are those that came back with errors."""
    versions = _versions(actor, model).prefetch_related("aliases")
    aliases: QuerySet[Alias] = model.aliases.select_related("version")
    context = {
        "model": model,
        "versions": paginate(request, versions),
        "aliases": aliases,
        "edit_form": DescriptionForm(
            initial={"description": model.description, "tags": model.tags}
        ),
        "version_form": VersionForm(versions=version_list(actor=actor)),
        "alias_form": AliasForm(actor=actor, versions=_versions(actor, model)),
        **(forms_sent or {}),
    }
    return render(request, "registry/model.html", context, status=400 if forms_sent else 200)
