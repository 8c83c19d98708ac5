"""Progress on the terminal."""

import sys


class Bar:
    """A progress bar on standard error, driven by a share in [0, 1].

    A step that is a whole sentence stays on a line of its own.
    """

    def __init__(self, title: str) -> None:
        self.title = title

    def __enter__(self) -> "Bar":
        from tqdm import tqdm

        self._bar = tqdm(total=100, desc=self.title, bar_format="{desc}: {bar} {postfix}")
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def __call__(self, share: float, step: str) -> None:
        self._bar.update(100 * share - self._bar.n)
        if step.endswith("."):
            self._bar.write(step, file=sys.stderr)
        else:
            self._bar.set_postfix_str(step)
