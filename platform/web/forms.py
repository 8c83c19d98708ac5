"""What all forms share: handing their fields to a service, and the fields that only we have."""

from collections.abc import Callable
from typing import Any, TypeVar

from django import forms

from accounts.actors import ForbiddenError
from spellmark.errors import SpellmarkError
from spellmark.secrets import KeyFile

T = TypeVar("T")

MAX_KEY_FILE_BYTES = 64 << 10
MAX_IMAGE_BYTES = 20 << 20


def submit(form: forms.Form, service: Callable[..., T], **arguments: Any) -> T | None:
    """Call a service with the form's fields. None when it refuses: the form then says why."""
    if not form.is_valid():
        return None
    try:
        return service(**arguments, **form.cleaned_data)
    except ForbiddenError:
        raise
    except SpellmarkError as error:
        form.add_error(None, str(error))
        return None


class TagsField(forms.CharField):
    """Words with commas between them, as a list."""

    def prepare_value(self, value: Any) -> Any:
        """The list as text again."""
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """A list of words; the service tidies it."""
        return [tag.strip() for tag in (super().to_python(value) or "").split(",") if tag.strip()]

    def validate(self, value: Any) -> None:
        """No single tag may be longer than its column."""
        super().validate(value)
        if any(len(tag) > 50 for tag in value):
            raise forms.ValidationError("A tag has at most 50 characters.")

    def run_validators(self, value: Any) -> None:
        """Nothing further: the text's validators do not fit a list."""


class KeyFileField(forms.FileField):
    """An uploaded `.spellkey`, read in memory and handed on as a KeyFile; never kept."""

    widget = forms.FileInput(attrs={"accept": ".spellkey,application/json"})

    def clean(self, data: Any, initial: Any = None) -> Any:
        """The key file. Its text never stands in an error."""
        file = super().clean(data, initial)
        if file.size > MAX_KEY_FILE_BYTES:
            raise forms.ValidationError("This is too large to be a key file.")
        try:
            return KeyFile.loads(file.read())
        except SpellmarkError as error:
            raise forms.ValidationError(str(error)) from None


class ImageFileField(forms.FileField):
    """An uploaded image. A service reads it, and says what is wrong with it."""

    widget = forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/bmp,image/webp"})

    def clean(self, data: Any, initial: Any = None) -> Any:
        """The file, unless it is very large."""
        file = super().clean(data, initial)
        if file.size > MAX_IMAGE_BYTES:
            raise forms.ValidationError(
                f"An image may have at most {MAX_IMAGE_BYTES >> 20} mebibytes."
            )
        return file


class SecretTextarea(forms.Textarea):
    """A text that is typed in and never shown again, also not beside an error."""

    def format_value(self, value: Any) -> None:
        """Nothing."""
