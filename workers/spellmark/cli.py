"""The `spellmark` command. Exit codes: 0 done, 1 refused or failed, 2 wrong use."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from spellmark import __version__
from spellmark.errors import SpellmarkError

OK, REFUSED, WRONG_USE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors go to standard error."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except SpellmarkError as error:
        print(f"spellmark: {error}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spellmark", description="Lock models and check what is claimed about them."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    keygen = commands.add_parser("keygen", help="make a key file for a key lock")
    keygen.add_argument("file", type=Path, help="where to write it, such as owner.spellkey")
    image = keygen.add_argument_group("what is locked")
    image.add_argument("--model", type=Path, help="safetensors with a card, which tells all four")
    image.add_argument("--height", type=int, help="of the images, in pixels")
    image.add_argument("--width", type=int)
    image.add_argument("--channels", type=int, default=1, choices=(1, 3))
    image.add_argument("--classes", type=int, default=10)
    how = keygen.add_argument_group("how it is locked", "left out, what is recommended")
    how.add_argument("--block", type=int, help="side of a block in pixels")
    how.add_argument("--steps", help="such as shuffle+flip; of scramble, shuffle, flip, substitute")
    how.add_argument("--masked", type=int, help="percent of the values that flip and substitute")
    how.add_argument("--tables", help="for substitute: shared, channel or position")
    how.add_argument("--keys", help="shared by all blocks, or one for each: shared, block")
    how.add_argument("--padding", help="where blocks do not divide the images: none, edge")
    how.add_argument("--labels", help="permute the classes too: keyed, plain")
    how.add_argument("--subkeys", type=int, help="sub-keys that share the lock")
    keygen.set_defaults(run=_keygen)

    commit = commands.add_parser("commit", help="print what a registry may know of a key file")
    commit.add_argument("file", type=Path)
    commit.set_defaults(run=_commit)

    take = commands.add_parser("import", help="take a pretrained classifier from a local folder")
    take.add_argument("folder", type=Path, help="as save_pretrained of transformers writes it")
    take.add_argument("output", type=Path, help="safetensors with a Spellmark model card")
    take.add_argument("--classes", type=int, help="give it a fresh head for so many classes")
    take.set_defaults(run=_import)

    lock = commands.add_parser("lock", help="lock a model under a key file")
    lock.add_argument("model", type=Path, help="safetensors with a Spellmark model card")
    lock.add_argument("--key", type=Path, required=True, help="the key file")
    lock.add_argument(
        "--binding", help="hex, from the registry; left out, the key file's own commitment"
    )
    lock.add_argument("--data", required=True, help="a data set's name, or a path to one")
    lock.add_argument("--images", type=int, help="use only this many training images")
    lock.add_argument("--epochs", type=int, default=16)
    lock.add_argument("--learning-rate", type=float, default=8e-3)
    lock.add_argument("--wrong-keys", type=int, default=1000)
    lock.add_argument("--output", type=Path, required=True)
    lock.set_defaults(run=_lock)

    verify = commands.add_parser("verify", help="check an evidence bundle, offline")
    verify.add_argument("bundle", type=Path)
    verify.add_argument("--trust", type=Path, required=True, help="the trust file")
    verify.add_argument("--json", action="store_true", help="print one JSON object")
    verify.set_defaults(run=_verify)
    return parser


def _keygen(options: argparse.Namespace) -> int:
    from spellmark.locks.key_lock.parameters import SCHEME, LockParameters, default_parameters
    from spellmark.secrets import KeyFile

    values = default_parameters(*_image(options)).as_dict()
    given = {name: getattr(options, name) for name in values}
    values.update({name: value for name, value in given.items() if value is not None})
    key = KeyFile.generate(SCHEME, LockParameters.from_dict(values).as_dict())
    key.save(options.file)
    print(f"{options.file} is the only copy of this key. Keep it safe, and keep it secret.")
    return OK


def _image(options: argparse.Namespace) -> tuple[int, int, int, int]:
    """Height, width, channels and classes of what is to be locked."""
    if options.model:
        from spellmark.model_files.card import ModelCard
        from spellmark.model_files.inspect import inspect_model_file

        card = ModelCard.from_metadata(inspect_model_file(options.model).metadata)
        return card.height, card.width, card.channels, card.classes
    if options.height is None or options.width is None:
        raise SpellmarkError(
            "The size of the images is not known.", hint="Give --model, or --height and --width."
        )
    return options.height, options.width, options.channels, options.classes


def _commit(options: argparse.Namespace) -> int:
    from spellmark.secrets import KeyFile

    key = KeyFile.load(options.file)
    print(
        json.dumps(
            {"digest": key.commitment(), "scheme": key.scheme, "parameters": dict(key.parameters)}
        )
    )
    return OK


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
    # torch takes seconds to load, so only this command pays for it.
    from spellmark.locks.key_lock.lock import lock
    from spellmark.locks.key_lock.lock_key import LockKey
    from spellmark.locks.key_lock.report_card import report_card
    from spellmark.secrets import KeyFile
    from spellmark.training import datasets, weights
    from spellmark.training.fit import Recipe

    file = KeyFile.load(options.key)
    model, card = weights.load(options.model)
    unprotected, _ = weights.load(options.model)
    key = LockKey.open(
        file,
        binding=_hex(options.binding or file.commitment()),
        shape=(card.channels, card.height, card.width),
        classes=card.classes,
    )
    path = Path(options.data)
    data = datasets.load_path(path) if path.exists() else datasets.load(options.data)
    with _Bar("locking") as bar:
        lock(
            model,
            card,
            data.train[: options.images],
            key,
            Recipe(epochs=options.epochs, learning_rate=options.learning_rate),
            teacher=unprotected,
            progress=bar,
        )
    with _Bar("measuring") as bar:
        report = report_card(
            model, unprotected, card, data.test, key, wrong_keys=options.wrong_keys, progress=bar
        ).as_dict()
    weights.save(model, card, options.output)
    del report["wrong"]
    print(json.dumps(report, indent=2))
    return OK


def _verify(options: argparse.Namespace) -> int:
    from spellmark.certificates.trust import Trust
    from spellmark.certificates.verify import verify_bundle

    report = verify_bundle(options.bundle, Trust.load(options.trust))
    if options.json:
        checks = [vars(check) for check in report.checks]
        print(json.dumps({"passed": report.passed, "checks": checks}, indent=2))
        return OK if report.passed else REFUSED
    for check in report.checks:
        mark = {True: "pass", False: "FAIL", None: "  – "}[check.passed]
        print(f"{mark}  {check.name:<11} {_printable(check.detail)}")
    print("accepted" if report.passed else "REFUSED: do not rely on this bundle")
    return OK if report.passed else REFUSED


class _Bar:
    """A progress bar on standard error, driven by a share in [0, 1]."""

    def __init__(self, title: str) -> None:
        self.title = title

    def __enter__(self) -> "_Bar":
        from tqdm import tqdm

        self._bar = tqdm(total=100, desc=self.title, bar_format="{desc}: {bar} {postfix}")
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def __call__(self, share: float, step: str) -> None:
        self._bar.update(100 * share - self._bar.n)
        self._bar.set_postfix_str(step)


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise SpellmarkError(
            "The binding is not written in hex digits.", hint="Copy it from the registry."
        ) from None


def _printable(text: str) -> str:
    """Text from a bundle without control characters, which could rewrite the terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)


if __name__ == "__main__":
    sys.exit(main())
