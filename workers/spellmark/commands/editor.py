"""`editor train`: an editor of one's own."""

import argparse
from pathlib import Path
from typing import Any

from spellmark.commands import OK
from spellmark.commands.bar import Bar


def add(commands: Any) -> None:
    """Add the command to the parser."""
    editor = commands.add_parser("editor", help="train an editor for prompt locks")
    inner = editor.add_subparsers(required=True, metavar="COMMAND")
    train = inner.add_parser("train", help="train the small editor; 15 minutes on two cores")
    train.add_argument("output", type=Path, help="where to write it, a safetensors file")
    train.add_argument(
        "--key", type=Path, help="a key file: the editor becomes its owner's, and nobody else's"
    )
    train.add_argument("--data", default="fashion-mnist", help="photos to learn on: name or path")
    train.add_argument("--steps", type=int, help="of training; left out, what is recommended")
    train.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    from dataclasses import replace

    import torch

    from spellmark.locks.prompt_lock import tiny_editor
    from spellmark.locks.prompt_lock.train_editor import OWNERS, Schooling, train, train_owners
    from spellmark.secrets import KeyFile
    from spellmark.training import datasets

    photos = datasets.find(options.data).train.images
    with Bar("training") as bar:
        if options.key:
            secret, steps = KeyFile.load(options.key).secret, options.steps or OWNERS.steps
            train_owners(secret, photos, options.output, steps=steps, progress=bar)
        else:
            schooling = Schooling()
            torch.manual_seed(schooling.seed)
            editor = tiny_editor.build()
            schooling = replace(schooling, steps=options.steps or schooling.steps)
            train(editor, schooling, photos, progress=bar)
            tiny_editor.save(editor, options.output)
    print(f"{options.output} is an editor. A lock that was made with it needs it to be opened.")
    return OK
