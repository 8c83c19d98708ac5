"""The `spellmark` command. Exit codes: 0 done, 1 refused or failed, 2 wrong use."""

import argparse
import sys
from collections.abc import Callable, Sequence

from spellmark import __version__
from spellmark.commands import WRONG_USE, editor, guard, keys, models, sign, verify
from spellmark.errors import SpellmarkError


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
        prog="spellmark", description="Lock and mark models, and check what is claimed about them."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (keys, models, guard, editor, sign, verify):
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
