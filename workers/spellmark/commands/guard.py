"""Guards: `guard new` and `guard show`."""

import argparse
import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spellmark.commands import OK
from spellmark.errors import SpellmarkError

if TYPE_CHECKING:
    from spellmark.watermarks.dynamic.guard import Thresholds
    from spellmark.watermarks.dynamic.mark_key import MarkKey

KEPT = "{} holds the key: it is as secret as the key file. Only the model server should read it."
# Enough for medians of every class.
ENOUGH_IMAGES = 10_000


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    guard = commands.add_parser("guard", help="mark the answers of a prediction API")
    guards = guard.add_subparsers(required=True, metavar="WHAT")

    new = guards.add_parser("new", help="make the file that a model server loads")
    new.add_argument("key", type=Path, help="a key file of “keygen --scheme dynamic-watermark”")
    new.add_argument(
        "--binding", help="hex, from the registry; left out, the key file's own commitment"
    )
    new.add_argument("--decimals", type=int, help="to which the API rounds its answers")
    new.add_argument("--top-k", type=int, help="how many classes an answer shows")
    new.add_argument(
        "--client",
        action="append",
        default=[],
        type=_client,
        metavar="NAME=HEX",
        help="a client with a mark of its own, with the binding that the registry answered when it "
        "was added, or without; may be given again",
    )
    new.add_argument("--valid-from", type=_day, help="a day like 2026-01-31")
    new.add_argument("--valid-until", type=_day)
    cells = new.add_argument_group("where the inputs are cut", "for keys with more than one cell")
    cells.add_argument("--model", type=Path, help="safetensors with a Spellmark model card")
    cells.add_argument("--data", help="a data set's name, or a path to one")
    new.add_argument("-o", "--output", type=Path, required=True)
    new.set_defaults(run=_new)

    show = guards.add_parser("show", help="print what others may know of a guard's file")
    show.add_argument("file", type=Path)
    show.set_defaults(run=_show)


def _new(options: argparse.Namespace) -> int:
    from spellmark.secrets import KeyFile
    from spellmark.watermarks.dynamic.guard_file import GuardFile
    from spellmark.watermarks.dynamic.mark_key import MarkKey

    file, binding = KeyFile.load(options.key), _binding(options.binding)
    thresholds, shape = _cuts(options, MarkKey.open(file, binding=binding))
    guard_file = GuardFile(
        key=file,
        binding=binding,
        thresholds=thresholds,
        input_shape=shape,
        decimals=options.decimals,
        top_k=options.top_k,
        clients=dict(options.client),
        valid_from=options.valid_from,
        valid_until=options.valid_until,
    )
    # What does not fit together is told now, not when the server starts.
    guard_file.guard()
    guard_file.save(options.output)
    print(KEPT.format(options.output))
    return OK


def _cuts(
    options: argparse.Namespace, key: "MarkKey"
) -> "tuple[Thresholds | None, tuple[int, ...] | None]":
    """Where the cells are cut, and the shape of the inputs; nothing where there is one cell."""
    if key.parameters.cells == 1:
        return None, None
    if not options.model or not options.data:
        raise SpellmarkError(
            f"This key cuts the inputs of each class into {key.parameters.cells} cells, and it is "
            "not known where.",
            hint="Give --model and --data: the model that is guarded, and inputs like its own.",
        )
    # torch takes seconds to load.
    from spellmark.training import datasets, weights
    from spellmark.training.inference import predict_probabilities
    from spellmark.watermarks.dynamic.guard import calibrate

    model, card = weights.load(options.model)
    if card.classes != key.parameters.classes:
        raise SpellmarkError(
            f"The model has {card.classes} classes, and the key is for {key.parameters.classes}.",
            hint="Make a key for this model.",
        )
    images = datasets.find(options.data).train.images[:ENOUGH_IMAGES]
    if images.shape[1:] != (card.channels, card.height, card.width):
        raise SpellmarkError(
            f"The images have shape {images.shape[1:]}, and the model takes others.",
            hint="Give a data set that fits the model.",
        )
    found = calibrate(key, predict_probabilities(model, card, images), images)
    return found, images.shape[1:]


def _show(options: argparse.Namespace) -> int:
    from spellmark.watermarks.dynamic.guard_file import GuardFile

    file = GuardFile.load(options.file)
    told = {
        "digest": file.key.commitment(),
        "scheme": file.key.scheme,
        "parameters": dict(file.key.parameters),
        "binding": None if file.binding is None else file.binding.hex(),
        "input_shape": file.input_shape,
        "decimals": file.decimals,
        "top_k": file.top_k,
        "clients": {name: file.guard(name).key.commitment() for name in ("", *file.clients)},
        "valid_from": file.valid_from and file.valid_from.isoformat(),
        "valid_until": file.valid_until and file.valid_until.isoformat(),
    }
    print(json.dumps(told, indent=2))
    return OK


def _client(text: str) -> tuple[str, bytes]:
    """A type of argparse: errors are its own."""
    name, _, binding = text.partition("=")
    try:
        return name, bytes.fromhex(binding)
    except ValueError:
        raise argparse.ArgumentTypeError(f"“{binding[:40]}” is not hex digits") from None


def _binding(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise SpellmarkError(
            "The binding is not written in hex digits.", hint="Copy it from the registry."
        ) from None


def _day(text: str) -> date:
    """For argparse."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a day like 2026-01-31") from None
