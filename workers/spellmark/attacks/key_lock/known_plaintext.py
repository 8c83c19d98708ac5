"""Reading the key off images seen both plain and transformed."""

from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spellmark.attacks.attack import AttackError, AttackResult, Attempt, Images, Progress
from spellmark.attacks.key_lock.key_guess import KeyGuess
from spellmark.attacks.key_lock.key_target import KeyTarget
from spellmark.attacks.key_lock.search_key import Found, found_result
from spellmark.locks.key_lock.parameters import (
    FLIP,
    SCRAMBLE,
    SHUFFLE,
    SUBSTITUTE,
    Geometry,
    LockParameters,
)
from spellmark.locks.key_lock.transforms import Order, block_places, table_numbers
from spellmark.training.datasets import Split

Series = npt.NDArray[Any]
Canonical = Callable[[Series], Hashable]
UNSEEN = -1


def known_plaintext(
    target: KeyTarget,
    pairs: tuple[Images, Images],
    attacker: Split,
    test: Split,
    *,
    progress: Progress | None = None,
) -> AttackResult:
    """Recover the transform from pairs and run the locked model under it.

    `attacker` has the labelled images from which keyed labels are learned. Raises AttackError.
    """
    attempt = Attempt("known-plaintext", target, attacker)
    guess = recover(*pairs, target.geometry, target.parameters)
    if progress:
        progress(1, f"key read off {len(pairs[0])} pairs")
    exact = float((guess.transform()(pairs[0]) == pairs[1]).mean())
    return found_result(attempt, Found(guess, exact, 0), test, pairs=len(pairs[0]))


def recover(
    plain: Images, transformed: Images, geometry: Geometry, parameters: LockParameters
) -> KeyGuess:
    """The guess that turns plain images (k, C, H, W) into the transformed ones.

    Each position's values over all pairs form a series. A shuffle moves series unchanged, a flip
    inverts them, a table renames their values: what stays the same finds each series' source.
    Positions that never differ in the pairs are interchangeable; entries never seen in a table get
    values that are left over. Raises AttackError when the pairs do not fit the lock.
    """
    guess = KeyGuess.identity(geometry, parameters)
    if not len(plain) or plain.shape[0] != transformed.shape[0]:
        raise AttackError("There are no pairs of images.", hint="Give each image both ways.")
    places = block_places(geometry)
    before = guess.transform()(plain).reshape(len(plain), -1)[:, places]
    after = transformed.reshape(len(plain), -1)[:, places]
    if parameters.has(SCRAMBLE):
        guess = replace(guess, blocks=_match_blocks(before, after, parameters))
        before = before[:, guess.blocks]
    # One series for each row and position: (rows, positions, values).
    rows = len(guess.order)
    before, after = (
        part.transpose(1, 2, 0).reshape(geometry.blocks, geometry.positions, -1)
        if rows > 1
        else part.transpose(2, 0, 1).reshape(1, geometry.positions, -1)
        for part in (before, after)
    )
    if parameters.has(SHUFFLE):
        order = [_match(*row, parameters) for row in zip(before, after, strict=True)]
        guess = replace(guess, order=np.asarray(order))
        before = np.take_along_axis(before, guess.order[:, :, None], axis=1)
    same = (before == after).all(2)
    if parameters.has(FLIP):
        guess = replace(guess, flipped=(before == 255 - after).all(2) & ~same)
    if parameters.has(SUBSTITUTE):
        guess = _with_tables(guess, before, after, ~same & ~guess.flipped)
    return guess


def _with_tables(guess: KeyGuess, before: Series, after: Series, touched: Series) -> KeyGuess:
    """Tables, and flips before them, from the positions that neither flip nor identity explains.

    A value flipped before it is looked up sees the table backwards, so a position that contradicts
    its table is taken as flipped. A whole table may come out backwards, with all its flips
    inverted: that is the same transform.
    """
    numbers = table_numbers(guess.geometry, guess.parameters)
    tables = np.full((len(guess.tables), 256), UNSEEN)
    flipped = guess.flipped.copy()
    for row, position in sorted(
        np.argwhere(touched).tolist(), key=lambda at: -len(np.unique(before[at[0], at[1]]))
    ):
        table = tables[numbers[row, position]]
        x, y = before[row, position].astype(np.int64), after[row, position]
        straight, turned = (_fits(table, values, y) for values in (x, 255 - x))
        if guess.parameters.has(FLIP) and turned > straight:
            flipped[row, position], x = True, 255 - x
        table[x] = np.where(table[x] == UNSEEN, y, table[x])
    for table in tables:
        left = np.setdiff1d(np.arange(256), table)
        table[table == UNSEEN] = left[: (table == UNSEEN).sum()]
    return replace(guess, flipped=flipped, substituted=touched, tables=tables.astype(np.uint8))


def _fits(table: Series, x: Series, y: Series) -> int:
    seen = table[x]
    return int(((seen == y).sum()) - ((seen != UNSEEN) & (seen != y)).sum() * len(x))


def _match(before: Series, after: Series, parameters: LockParameters) -> Order:
    """Each series' source, (positions,): first the unchanged, then the inverted, the renamed."""
    order = np.full(len(after), UNSEEN)
    for canonical in _canonicals(parameters):
        free = np.setdiff1d(np.arange(len(before)), order)
        sources: dict[Hashable, list[int]] = defaultdict(list)
        for source in reversed(free.tolist()):
            sources[canonical(before[source])].append(source)
        for place in np.flatnonzero(order == UNSEEN):
            if found := sources[canonical(after[place])]:
                order[place] = found.pop()
    return _complete(order)


def _match_blocks(before: Series, after: Series, parameters: LockParameters) -> Order:
    """Each block's source, (blocks,): blocks hold the same series, in whatever order."""
    canonical = _canonicals(parameters)[-1]

    def contents(block: Series) -> Hashable:
        return tuple(sorted(map(str, map(canonical, block.T))))

    sources: dict[Hashable, list[int]] = defaultdict(list)
    for number in reversed(range(before.shape[1])):
        sources[contents(before[:, number])].append(number)
    order = np.full(after.shape[1], UNSEEN)
    for number in range(len(order)):
        if found := sources[contents(after[:, number])]:
            order[number] = found.pop()
    return _complete(order)


def _complete(order: Order) -> Order:
    order[order == UNSEEN] = np.setdiff1d(np.arange(len(order)), order)
    return order


def _canonicals(parameters: LockParameters) -> list[Canonical]:
    """Forms of a series that a step does not change, the most telling first."""
    forms: list[Canonical] = [lambda series: series.tobytes()]
    if parameters.has(FLIP):
        forms.append(lambda series: min(series.tobytes(), (255 - series).tobytes()))
    if parameters.has(SUBSTITUTE):
        forms.append(_renamed)
    return forms


def _renamed(series: Series) -> Hashable:
    """The series with its values numbered as they first appear."""
    _, first, inverse = np.unique(series, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].tobytes()
