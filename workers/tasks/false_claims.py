"""The red team's job: every kind of false claim, made with models like a version's."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from protection.models import Rehearsal
from registry import storage
from registry.models import Version
from spellmark.attacks.forge_claim.catalogue import BUDGETS
from spellmark.attacks.forge_claim.court import Model
from spellmark.attacks.forge_claim.forgery import Forgery
from spellmark.attacks.forge_claim.suite import run_forgeries
from spellmark.attacks.forge_claim.world import World, make_world
from spellmark.evidence.null_pool import KINDS, LEAST_MODELS, TRAINED
from spellmark.training import weights
from tasks.lock import data_for
from tasks.rehearsing import rehearse
from tasks.work import Work
from verification.references import card_of_version, pool_of

# Training everybody, beside making the claims.
WORLDS_SHARE = 0.4
# All of them are in memory at once.
MOST_OF_POOL = LEAST_MODELS


def run(work: Work) -> None:
    """Make the claims of the job's rehearsal, and keep what came of them."""
    rehearse(work, _suite, _line, begin=WORLDS_SHARE)


def _line(result: Forgery) -> str:
    name = f"{result.name}, {result.variant}" if result.variant else result.name
    return f"{name}: {result.accepted:,} of {result.tried:,} accepted"


def _suite(work: Work, rehearsal: Rehearsal, folder: Path) -> Callable[..., list[Forgery]]:
    """All forgeries, with everybody trained. A lost worker's models count, its keys do not."""
    version, sizes = rehearsal.version, BUDGETS[rehearsal.budget]
    pool = _pool(version, rehearsal.dataset, least=sizes.pool)
    if not pool:
        work.log(f"the null pool has no {sizes.pool} models of all kinds: others are trained")
    world = make_world(
        card_of_version(version),
        data_for(version, rehearsal.dataset),
        sizes,
        pool=pool,
        folder=folder,
        progress=lambda share, step: work.progress(share * WORLDS_SHARE, step),
    )
    work.log(
        f"{len(world.references)} models of the accuser's, {len(world.innocents)} innocents, a "
        f"null pool of {len(world.court.pool)}; the one true claim is a match"
    )
    return partial(_forged, world)


def _forged(
    world: World, *, attacks: list[str], budget: str, progress: Callable[[float, str], None]
) -> list[Forgery]:
    """The suite as it is called. budget: the world was made by it."""
    return run_forgeries(world, attacks, progress=progress)


def _pool(version: Version, dataset: str, *, least: int) -> list[Model]:
    """The null pool's own models that the platform trained, kinds in turn; none if too few."""
    kinds: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for one, row in pool_of(version, dataset).items():
        if one.source == TRAINED:
            kinds[one.kind].append(row)
    rows = [row for turn in zip(*kinds.values(), strict=False) for row in turn]
    chosen = rows[:MOST_OF_POOL] if len(rows) >= least else []
    return [Model(*weights.load(storage.path_of(row.sha256))) for row in chosen]
