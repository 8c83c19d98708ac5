"""Running several attacks on one model, one after the other."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import numpy as np

from spellmark.attacks.attack import AttackError, AttackResult, Progress

Result = TypeVar("Result")
Run = Callable[[np.random.Generator, Progress], list[AttackResult]]


def run_attacks(
    runs: Mapping[str, Callable[[np.random.Generator, Progress], list[Result]]],
    names: Iterable[str] | None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Result]:
    """Run the attacks of these names, or all of them. Raises AttackError.

    runs: all attacks that there are, in the order of their catalogue. Attacks that the model is not
    made for are left out unless they are named.
    """
    chosen = list(runs if names is None else names)
    if unknown := set(chosen) - runs.keys():
        raise AttackError(
            f"There is no attack “{min(unknown)}”.", hint=f"Choose from: {', '.join(runs)}."
        )
    results: list[Result] = []
    for number, name in enumerate(chosen):

        def report(share: float, text: str, number: int = number, name: str = name) -> None:
            if progress:
                progress((number + share) / len(chosen), f"{name}: {text}")

        # A generator of its own: an attack gives the same result whatever else is run.
        generator = np.random.default_rng([seed, list(runs).index(name)])
        try:
            results += runs[name](generator, report)
        except AttackError:
            if names is not None:
                raise
    return results
