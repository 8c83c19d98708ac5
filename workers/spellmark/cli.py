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
    keygen.add_argument("--block", type=int, required=True, help="side of a block in pixels")
    keygen.set_defaults(run=_keygen)

    commit = commands.add_parser("commit", help="print what a registry may know of a key file")
    commit.add_argument("file", type=Path)
    commit.set_defaults(run=_commit)

    lock = commands.add_parser("lock", help="lock a model under a key file")
    lock.add_argument("model", type=Path, help="safetensors with a Spellmark model card")
    lock.add_argument("--key", type=Path, required=True, help="the key file")
    lock.add_argument(
        "--binding", help="hex, from the registry; left out, the key file's own commitment"
    )
    lock.add_argument("--data", required=True, help="a data set's name, or a path to one")
    lock.add_argument("--images", type=int, help="use only this many training images")
    lock.add_argument("--epochs", type=int, default=8)
    lock.add_argument("--wrong-keys", type=int, default=100)
    lock.add_argument("--output", type=Path, required=True)
    lock.set_defaults(run=_lock)

    verify = commands.add_parser("verify", help="check an evidence bundle, offline")
    verify.add_argument("bundle", type=Path)
    verify.add_argument("--trust", type=Path, required=True, help="the trust file")
    verify.add_argument("--json", action="store_true", help="print one JSON object")
    verify.set_defaults(run=_verify)
    return parser


def _keygen(options: argparse.Namespace) -> int:
    from spellmark.locks.key_lock.transforms import SHUFFLE
    from spellmark.secrets import KeyFile

    if options.block < 2:
        raise SpellmarkError("A block has at least 2 pixels a side.", hint="Try --block 14.")
    key = KeyFile.generate(SHUFFLE, {"block": options.block})
    key.save(options.file)
    print(f"{options.file} is the only copy of this key. Keep it safe, and keep it secret.")
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


def _lock(options: argparse.Namespace) -> int:
    # torch takes seconds to load, so only this command pays for it.
    from spellmark.locks.key_lock.lock import lock
    from spellmark.locks.key_lock.report_card import report_card
    from spellmark.locks.key_lock.transforms import Geometry, from_key_file
    from spellmark.secrets import KeyFile
    from spellmark.training import datasets, weights
    from spellmark.training.fit import Recipe

    key = KeyFile.load(options.key)
    model, card = weights.load(options.model)
    unprotected, _ = weights.load(options.model)
    block = key.parameters.get("block")
    if not isinstance(block, int):
        raise SpellmarkError("The key file names no block size.", hint="Make one by keygen.")
    geometry = Geometry(card.channels, card.height, card.width, block)
    binding = _hex(options.binding or key.commitment())
    transform = from_key_file(key, binding=binding, geometry=geometry)
    path = Path(options.data)
    data = datasets.load_path(path) if path.exists() else datasets.load(options.data)
    with _Bar("locking") as bar:
        lock(
            model,
            card,
            data.train[: options.images],
            transform,
            Recipe(epochs=options.epochs),
            progress=bar,
        )
    with _Bar("measuring") as bar:
        report = report_card(
            model,
            unprotected,
            card,
            data.test,
            transform,
            wrong_keys=options.wrong_keys,
            progress=bar,
        )
    weights.save(model, card, options.output)
    print(json.dumps(report.as_dict(), indent=2))
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
