"""All kinds of forgeries, one after the other."""

from collections.abc import Callable, Iterable

from spellmark.attacks.attack import AttackError, Progress
from spellmark.attacks.forge_claim import (
    adversarial,
    alter_transcript,
    backdate,
    constant_model,
    free_labels,
    grind_seeds,
    hand_picked,
    replay_triggers,
    swap_suspect,
)
from spellmark.attacks.forge_claim.catalogue import FORGERIES
from spellmark.attacks.forge_claim.forgery import Forgery
from spellmark.attacks.forge_claim.world import World

_FORGE: dict[str, Callable[[World, Progress], list[Forgery]]] = {
    "hand-picked images": hand_picked.forge,
    "adversarial images": adversarial.forge,
    "seed grinding": grind_seeds.forge,
    "backdating": backdate.forge,
    "free labels": free_labels.forge,
    "altered transcript": alter_transcript.forge,
    "swapped suspect": swap_suspect.forge,
    "constant model": constant_model.forge,
    "replayed triggers": replay_triggers.forge,
}


def run_forgeries(
    world: World, names: Iterable[str] | None = None, *, progress: Progress | None = None
) -> list[Forgery]:
    """Try every kind of the catalogue, or those named. Raises AttackError."""
    chosen = list(FORGERIES if names is None else names)
    if unknown := set(chosen) - _FORGE.keys():
        raise AttackError(
            f"There is no forgery “{min(unknown)}”.", hint=f"Choose from: {', '.join(FORGERIES)}."
        )
    found: list[Forgery] = []
    for number, name in enumerate(chosen):

        def show(share: float, step: str, number: int = number) -> None:
            if progress:
                progress((number + share) / len(chosen), step)

        show(0, name)
        found += _FORGE[name](world, show)
    return found
