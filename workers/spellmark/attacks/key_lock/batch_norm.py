"""A search without labels: the right key gives the layers the statistics they were trained on."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from spellmark.attacks.attack import AttackError, AttackResult, Attempt, Images, Progress
from spellmark.attacks.key_lock.key_target import KeyTarget
from spellmark.attacks.key_lock.search_key import BATCH, Objective, climb, found_result
from spellmark.training.datasets import Split
from spellmark.training.inference import device, to_input


def batch_norm_swaps(
    target: KeyTarget,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    budget: int = 10_000,
    progress: Progress | None = None,
) -> AttackResult:
    """Climb to the key under which batch statistics are those that the model carries with it.

    Labels serve only to tell keyed labels afterwards. Raises AttackError for a model without batch
    normalisation.
    """
    attempt = Attempt("batch-norm", target, attacker)
    found = climb(
        target,
        attacker.images[:BATCH],
        statistics_of(target),
        generator=generator,
        budget=budget,
        progress=progress,
    )
    return found_result(attempt, found, test)


def statistics_of(target: KeyTarget) -> Objective:
    """The objective: minus the divergence of the batch's statistics from the running ones.

    Each channel counts as a normal distribution, and the Kullback–Leibler divergences of batch
    from running are averaged over all channels of all layers.
    """
    layers = [
        part
        for part in target.model.modules()
        if isinstance(part, _BatchNorm) and part.running_var is not None
    ]
    if not layers:
        raise AttackError(
            "The model has no batch normalisation with running statistics.",
            hint="Leave out the attack by batch statistics.",
        )

    @torch.inference_mode()
    def objective(images: Images) -> float:
        divergences: list[torch.Tensor] = []
        hooks = [layer.register_forward_pre_hook(_record(divergences)) for layer in layers]
        try:
            target.model.to(device()).eval()(to_input(images, target.card))
        finally:
            for hook in hooks:
                hook.remove()
        return -float(torch.cat(divergences).mean())

    return objective


def _record(
    divergences: list[torch.Tensor],
) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
    def record(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        channels = inputs[0].transpose(0, 1).flatten(1)
        mean, variance = channels.mean(1), channels.var(1) + 1e-5
        wanted, spread = layer.get_buffer("running_mean"), layer.get_buffer("running_var") + 1e-5
        ratio = variance / spread
        divergences.append(((mean - wanted) ** 2 / spread + ratio - ratio.log() - 1) / 2)

    return record
