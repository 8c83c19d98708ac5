"""Models: `import`, `lock` and `unlock`."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from spellmark.commands import OK
from spellmark.commands.bar import Bar
from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock.settings import USUAL_SEEDS
from spellmark.locks.prompt_lock.policies import POLICIES


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    take = commands.add_parser("import", help="take a pretrained classifier from a local folder")
    take.add_argument("folder", type=Path, help="as save_pretrained of transformers writes it")
    take.add_argument("output", type=Path, help="safetensors with a Spellmark model card")
    take.add_argument("--classes", type=int, help="give it a fresh head for so many classes")
    take.set_defaults(run=_import)

    lock = commands.add_parser("lock", help="lock a model under a key file")
    lock.add_argument("model", type=Path, help="safetensors with a Spellmark model card")
    _add_key(lock, without_binding="the key file's own commitment")
    lock.add_argument("--data", required=True, help="a data set's name, or a path to one")
    lock.add_argument("--images", type=_count, help="use only this many training images")
    lock.add_argument(
        "--epochs", type=_count, help="left out, as many as that number of images asks for"
    )
    lock.add_argument("--learning-rate", type=float)
    lock.add_argument("--wrong-keys", type=_count, help="how many the report card tries")
    lock.add_argument(
        "--seeds",
        type=_count,
        default=USUAL_SEEDS,
        help="trainings; the first one's model is saved",
    )
    spell = lock.add_argument_group("of a prompt lock")
    spell.add_argument(
        "--negatives",
        choices=tuple(POLICIES),
        help="left out, the first. "
        + " ".join(f"{name}: {sentence}" for name, sentence in POLICIES.items()),
    )
    spell.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="keep edits here for other trainings and runs; they show what the spell does, so keep "
        "the folder as safe as the key file, and erase it",
    )
    lock.add_argument("--output", type=Path, required=True)
    lock.set_defaults(run=_lock)

    unlock = commands.add_parser("unlock", help="what a locked model says to images, with its key")
    unlock.add_argument("model", type=Path, help="the locked safetensors")
    unlock.add_argument("images", type=Path, nargs="+", help="PNG, JPEG, BMP or WebP")
    _add_key(unlock, without_binding="the one that the model's card tells")
    unlock.set_defaults(run=_unlock)


def _add_key(command: argparse.ArgumentParser, *, without_binding: str) -> None:
    command.add_argument("--key", type=Path, required=True, help="the key file")
    command.add_argument("--binding", help=f"hex, from the registry; left out, {without_binding}")
    command.add_argument("--editor", help="of a prompt lock: a file, a folder or a name")


def _import(options: argparse.Namespace) -> int:
    from spellmark.training import weights
    from spellmark.training.pretrained import import_folder, replace_head

    model, card = import_folder(options.folder)
    if options.classes is not None:
        model, card = replace_head(model, card, options.classes)
    weights.save(model, card, options.output)
    print(f"{options.output}: {card.height}×{card.width} pixels, {card.classes} classes")
    return OK


def _lock(options: argparse.Namespace) -> int:
    # torch takes seconds to load, so only the commands that need it pay for it.
    from spellmark.locks.locksmith import locksmith, with_seeds
    from spellmark.locks.unlock import open_key
    from spellmark.secrets import KeyFile
    from spellmark.training import datasets, weights

    file, data = KeyFile.load(options.key), datasets.find(options.data)
    unprotected, card = weights.load(options.model)
    binding = _binding(options) or bytes.fromhex(file.commitment())
    shape = (card.channels, card.height, card.width)
    key = open_key(file, shape=shape, classes=card.classes, binding=binding, editor=options.editor)
    smith = locksmith(
        key,
        file,
        binding=binding,
        edits=options.cache,
        negatives=options.negatives,
    )
    given = {"epochs": options.epochs, "learning_rate": options.learning_rate}
    images = data.train[: options.images]
    usual = smith.recipe(len(images))
    recipe = replace(usual, **{name: value for name, value in given.items() if value})
    wrong_keys = options.wrong_keys or smith.wrong_keys
    smith.check_wrong_keys(wrong_keys)
    reports = []
    for seed in range(options.seeds):
        model, locked_card = smith.prepared(unprotected, card)
        of = f"{seed + 1} of {options.seeds}"
        with Bar(f"locking, training {of}") as bar:
            smith.lock(
                model, unprotected, locked_card, images, replace(recipe, seed=seed), progress=bar
            )
        with Bar(f"measuring, training {of}") as bar:
            report = smith.measure(
                model, unprotected, locked_card, data.test, wrong_keys=wrong_keys, progress=bar
            )
        reports.append(report)
        if seed == 0:
            weights.save(model, locked_card, options.output)
    # One figure for each wrong key is too much to read.
    first = {name: value for name, value in reports[0].items() if not isinstance(value, list)}
    seeds = with_seeds(reports)["seeds"]
    print(json.dumps({**first, "seeds": seeds}, indent=2))
    return OK


def _count(text: str) -> int:
    """A whole number of 1 or more, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return int(text)


def _unlock(options: argparse.Namespace) -> int:
    from spellmark.locks.unlock import unlock
    from spellmark.model_files.pictures import read_picture
    from spellmark.secrets import KeyFile

    file = KeyFile.load(options.key)
    opened = unlock(options.model, file, binding=_binding(options), editor=options.editor)
    for path in options.images:
        shares = opened.probabilities(read_picture(path, opened.card)[None])[0]
        best = int(shares.argmax())
        name = opened.card.label_names[best] if opened.card.label_names else f"class {best}"
        print(f"{path}: {name} ({shares[best]:.1%})")
    return OK


def _binding(options: argparse.Namespace) -> bytes | None:
    """The one that was given."""
    if not options.binding:
        return None
    try:
        return bytes.fromhex(options.binding)
    except ValueError:
        raise SpellmarkError(
            "The binding is not written in hex digits.", hint="Copy it from the registry."
        ) from None
