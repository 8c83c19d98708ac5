"""Key files: `keygen`, `spell` and `commit`."""

import argparse
import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spellmark.commands import OK
from spellmark.errors import SpellmarkError

if TYPE_CHECKING:
    from spellmark.secrets import KeyFile

LOCK, GUARD, TRIGGER = "key-lock", "dynamic-watermark", "trigger-watermark"
FEATURE = "external-feature"
KEPT = "{} is the only copy of this key. Keep it safe, and keep it secret."


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    keygen = commands.add_parser(
        "keygen", help="make a key file for a key lock, a guard, a trigger watermark or a style"
    )
    keygen.add_argument("file", type=Path, help="where to write it, such as owner.spellkey")
    keygen.add_argument(
        "--scheme",
        choices=(LOCK, GUARD, TRIGGER, FEATURE),
        default=LOCK,
        help="what it is for; left out, a key lock",
    )
    image = keygen.add_argument_group("which model, for all schemes; a guard needs classes only")
    image.add_argument("--model", type=Path, help="safetensors with a card, which tells all four")
    image.add_argument("--height", type=int, help="of the images, in pixels")
    image.add_argument("--width", type=int)
    image.add_argument("--channels", type=int, default=1, choices=(1, 3))
    image.add_argument("--classes", type=int, help="of the model; left out, 10 for a key lock")
    how = keygen.add_argument_group("how it is locked", "left out, what is recommended")
    how.add_argument("--block", type=int, help="side of a block in pixels")
    how.add_argument("--steps", help="such as shuffle+flip; of scramble, shuffle, flip, substitute")
    how.add_argument("--masked", type=int, help="percent of the values that flip and substitute")
    how.add_argument("--tables", help="for substitute: shared, channel or position")
    how.add_argument("--keys", help="shared by all blocks, or one for each: shared, block")
    how.add_argument("--padding", help="where blocks do not divide the images: none, edge")
    how.add_argument("--labels", help="permute the classes too: keyed, plain")
    how.add_argument("--subkeys", type=int, help="sub-keys that share the lock")
    mark = keygen.add_argument_group("how a guard marks", "left out, what is recommended")
    mark.add_argument(
        "--strength",
        type=int,
        help="thousandths of the probability that move; of a style, its percent of an image",
    )
    mark.add_argument("--cells", type=int, help="into which a class's inputs are cut: 1, 2, 4, …")
    mark.add_argument(
        "--label-margin",
        type=int,
        help="mark labels too, of answers so close, in hundredths of log-odds",
    )
    trigger = keygen.add_argument_group(
        "what a trigger watermark promises", "left out, what is recommended"
    )
    trigger.add_argument("--triggers", type=int, help="in all: each claim opens fresh ones")
    trigger.add_argument("--queries", type=int, help="the most that one run opens and asks")
    trigger.add_argument("--digits", type=int, help="accepted false-positive rate, 10 to the minus")
    trigger.add_argument("--grid", type=int, help="cells in a row of a trigger image, or a style")
    style = keygen.add_argument_group("an external feature's style", "left out, as recommended")
    style.add_argument("--waves", type=int, help="in its pattern; strength and grid: see above")
    keygen.set_defaults(run=_keygen)

    spell = commands.add_parser("spell", help="make a key file for a prompt lock")
    spell.add_argument("file", type=Path, help="where to write it, such as owner.spellkey")
    spell.add_argument(
        "--published",
        action="store_true",
        help="for InstructPix2Pix itself: the settings of the paper; others given here come first",
    )
    spell.add_argument("--reading", help="hashed, or read by the editor: spell, prompt")
    spell.add_argument("--editor", help="a file, a folder or a name; left out, ours")
    for name, about in (
        ("--steps", "of the diffusion"),
        ("--alpha", "the edit's share in the blend, in percent"),
        ("--strength", "how far an image-to-image editor goes, in percent"),
        ("--seed", "of the noise"),
        ("--size", "edit in squares of so many pixels; 0 for the images' own size"),
        ("--subkeys", "spells that share the lock"),
    ):
        spell.add_argument(name, type=int, help=about)
    spell.add_argument("--guidance", help="how closely the prompt is followed, such as 4.5")
    spell.add_argument("--image-guidance", help="how closely the image is followed, such as 1.5")
    spell.add_argument("--scheduler", help="of diffusers, such as DDIMScheduler")
    spell.add_argument("--precision", help="of the editor's arithmetic: double, single")
    spell.add_argument("--labels", help="permute the classes too: keyed, plain")
    spell.set_defaults(run=_spell)

    commit = commands.add_parser("commit", help="print what a registry may know of a key file")
    commit.add_argument("file", type=Path)
    commit.set_defaults(run=_commit)


def _keygen(options: argparse.Namespace) -> int:
    make = {LOCK: _lock_key, GUARD: _guard_key, TRIGGER: _trigger_key, FEATURE: _feature_key}
    make[options.scheme](options).save(options.file)
    print(KEPT.format(options.file))
    return OK


def _guard_key(options: argparse.Namespace) -> "KeyFile":
    from spellmark.secrets import KeyFile
    from spellmark.watermarks.dynamic.parameters import SCHEME, MarkParameters, recommended

    classes = options.classes
    if options.model:
        *_, classes, _ = _image(options)
    if classes is None:
        raise SpellmarkError(
            "The number of classes is not known.", hint="Give --model, or --classes."
        )
    values = recommended(classes).as_dict()
    parameters = MarkParameters.from_dict(_with_given(values, options))
    return KeyFile.generate(SCHEME, parameters.as_dict())


def _trigger_key(options: argparse.Namespace) -> "KeyFile":
    from spellmark.secrets import KeyFile
    from spellmark.watermarks.trigger.parameters import SCHEME, TriggerParameters, recommended

    height, width, channels, classes, _ = _image(options)
    values = recommended(classes, channels, height, width).as_dict()
    parameters = TriggerParameters.from_dict(_with_given(values, options))
    return KeyFile.generate(SCHEME, parameters.as_dict())


def _feature_key(options: argparse.Namespace) -> "KeyFile":
    from spellmark.secrets import KeyFile
    from spellmark.watermarks.external_feature.parameters import (
        SCHEME,
        FeatureParameters,
        recommended,
    )

    height, width, channels, classes, _ = _image(options)
    values = recommended(classes, channels, height, width).as_dict()
    parameters = FeatureParameters.from_dict(_with_given(values, options))
    return KeyFile.generate(SCHEME, parameters.as_dict())


def _lock_key(options: argparse.Namespace) -> "KeyFile":
    from spellmark.locks.key_lock.parameters import (
        SCHEME,
        LockParameters,
        default_parameters,
        lock_geometry,
    )
    from spellmark.secrets import KeyFile

    height, width, channels, classes, architecture = _image(options)
    values = default_parameters(height, width, channels, classes).as_dict()
    parameters = LockParameters.from_dict(_with_given(values, options))
    shape = (channels, height, width)
    if architecture:
        lock_geometry(parameters, shape, architecture)
    else:
        parameters.geometry(shape)
    return KeyFile.generate(SCHEME, parameters.as_dict())


def _with_given(values: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name, None) for name in values}
    return {**values, **{name: value for name, value in given.items() if value is not None}}


def _image(options: argparse.Namespace) -> tuple[int, int, int, int, str]:
    """Height, width, channels and classes of what is to be locked, and its architecture or ""."""
    if options.model:
        from spellmark.model_files.card import ModelCard
        from spellmark.model_files.inspect import inspect_model_file

        card = ModelCard.from_metadata(inspect_model_file(options.model).metadata)
        return card.height, card.width, card.channels, card.classes, card.architecture
    if options.height is None or options.width is None:
        raise SpellmarkError(
            "The size of the images is not known.", hint="Give --model, or --height and --width."
        )
    classes = 10 if options.classes is None else options.classes
    return options.height, options.width, options.channels, classes, ""


def _spell(options: argparse.Namespace) -> int:
    from spellmark.locks.prompt_lock.editors import load_editor
    from spellmark.locks.prompt_lock.parameters import (
        PROMPT,
        PUBLISHED,
        SCHEME,
        PromptLockParameters,
    )
    from spellmark.locks.prompt_lock.public_editor import PUBLIC
    from spellmark.secrets import KeyFile

    # Never an argument: those stand in the shell's history and in the list of processes.
    text = getpass.getpass("The spell: ")
    if not text.strip():
        raise SpellmarkError("There is no spell without words.", hint="Type some, and Enter.")
    if getpass.getpass("Once more: ") != text:
        raise SpellmarkError("The two are not alike.", hint="Try again.")
    editor = load_editor(options.editor or PUBLIC)
    published = PUBLISHED if options.published else {}
    values = {**PromptLockParameters(editor=editor.digest).as_dict(), **published}
    given = {name: getattr(options, name) for name in values if name != "editor"}
    values.update({name: value for name, value in given.items() if value is not None})
    parameters = PromptLockParameters.from_dict(values)
    editor.check(parameters)
    if parameters.reading == PROMPT:
        editor.read(text)
    key = KeyFile.generate(SCHEME, parameters.as_dict(), text)
    key.save(options.file)
    print(KEPT.format(options.file))
    return OK


def _commit(options: argparse.Namespace) -> int:
    from spellmark.secrets import KeyFile

    key = KeyFile.load(options.file)
    print(
        json.dumps(
            {"digest": key.commitment(), "scheme": key.scheme, "parameters": dict(key.parameters)}
        )
    )
    return OK
