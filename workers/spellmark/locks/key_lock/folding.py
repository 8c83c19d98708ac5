"""Folding a key into a patch embedding: a lock without training, for ViT and ConvMixer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spellmark.locks.key_lock.modules import check_normalisation
from spellmark.locks.key_lock.parameters import KeyLockError
from spellmark.locks.key_lock.transforms import Transform, block_places

Order = npt.NDArray[np.int64]


def fold_key(
    transform: Transform,
    mean: Sequence[float],
    std: Sequence[float],
    patches: nn.Conv2d,
    positions: nn.Parameter | None = None,
) -> None:
    """Change a trained model in place so that it wants images under the key.

    Sources: 2207.05366 for ViT, 2207.11939 for ConvMixer.

    The model's answers on transformed and then normalised images become what they were on plain
    normalised ones, up to float rounding, without training. `mean` and `std` are those of the
    normalisation, for pixels scaled to [0, 1], one for each channel.

    patches: the patch embedding, whose kernel and stride are the block. It gets a bias if it needs
    one. Shuffle and flip fold into it.
    positions: a ViT's position embedding, (1, other tokens + blocks, width), other tokens first.
    Scrambled blocks fold into it, since attention does not mind the order of its tokens; a
    ConvMixer has none, since convolutions mind.

    The leak: the folded weights are the plain ones, reordered and scaled. Whoever has the plain
    model, as of a public base, reads the key off by matching columns (`attacks.unfold`), without
    one image. Fold only models whose plain weights nobody else has.

    What it locks has to be measured: on small smooth images a wrong order inside blocks of 4 costs
    a plainly trained model little, so shuffle alone is weak there; under flip or scrambling wrong
    keys came near chance.

    Raises KeyLockError, with the model unchanged, for what a kernel shared by all blocks cannot
    do: substitution, blocks with keys of their own, padding.
    """
    check_normalisation(transform, mean, std)
    key = _shared_key(transform)
    _check_patches(transform, patches)
    scrambled = bool((key.blocks != np.arange(len(key.blocks))).any())
    if scrambled:
        _check_positions(transform, positions)
    with torch.no_grad():
        _fold_patches(transform, key, np.asarray(mean), np.asarray(std), patches)
        if scrambled and positions is not None:
            others = positions.shape[1] - len(key.blocks)
            order = torch.from_numpy(others + key.blocks).to(positions.device)
            positions[:, others:] = positions[:, order]


@dataclass(frozen=True)
class _SharedKey:
    """The block and the position that come to each place, and the positions then flipped."""

    blocks: Order
    order: Order
    flipped: npt.NDArray[np.bool_]


def _shared_key(transform: Transform) -> _SharedKey:
    geometry = transform.geometry
    if transform.which is not None:
        raise _unfoldable("Substitution is not linear, so it does not fold into a kernel.")
    if geometry.keyed_shape != geometry.shape:
        raise _unfoldable("Padded images have another size than the model's, so they do not fold.")
    places = block_places(geometry)
    values = np.arange(places.size)
    where = np.empty_like(values)
    where[places.ravel()] = values
    source = where[values if transform.index is None else transform.index][places]
    blocks, order = np.divmod(source, geometry.positions)
    mask = np.zeros_like(values, np.uint8) if transform.mask is None else transform.mask
    flipped = mask[places] != 0
    if (order != order[0]).any() or (flipped != flipped[0]).any():
        raise _unfoldable("Blocks with keys of their own do not fold into a kernel that all share.")
    return _SharedKey(blocks[:, 0], order[0], flipped[0])


def _fold_patches(
    transform: Transform,
    key: _SharedKey,
    mean: npt.NDArray[np.float64],
    std: npt.NDArray[np.float64],
    patches: nn.Conv2d,
) -> None:
    """Undo, inside the kernel, what the key does to a normalised block.

    A plain value x comes as sign · x + white (1 and 0, or flipped -1 and 1), for pixels in [0, 1].
    """
    g = transform.geometry
    channel = np.arange(g.positions) % g.channels
    came_from = channel[key.order]
    sign = np.where(key.flipped, -1.0, 1.0)
    white = np.where(key.flipped, 1.0, 0.0)
    scale = sign * std[channel] / std[came_from]
    shift = (sign * (mean[channel] - white) - mean[came_from]) / std[came_from]

    # In the lock's order (row, column, channel), in double precision.
    device = patches.weight.device
    plain = patches.weight.double().permute(0, 2, 3, 1).flatten(1)
    plain = plain[:, torch.from_numpy(key.order).to(device)]
    folded = plain * torch.from_numpy(scale).to(device)
    bias = plain @ torch.from_numpy(shift).to(device)
    folded = folded.view(-1, g.block, g.block, g.channels).permute(0, 3, 1, 2)
    patches.weight.copy_(folded)
    if patches.bias is not None:
        patches.bias += bias
    elif shift.any():
        patches.bias = nn.Parameter(bias.to(patches.weight.dtype))


def _check_patches(transform: Transform, patches: nn.Conv2d) -> None:
    g = transform.geometry
    side = (g.block, g.block)
    if (
        (patches.in_channels, patches.kernel_size, patches.stride) != (g.channels, side, side)
        or patches.padding not in ((0, 0), "valid")
        or patches.dilation != (1, 1)
        or patches.groups != 1
    ):
        raise KeyLockError(
            f"A key with blocks of {g.block} folds only into a patch embedding of {g.channels} "
            f"channel(s) whose kernel and stride are {g.block}, without padding.",
            hint="Make a key whose block is the model's patch.",
        )


def _check_positions(transform: Transform, positions: nn.Parameter | None) -> None:
    if positions is None:
        raise _unfoldable("Scrambled blocks fold only into a position embedding.")
    blocks = transform.geometry.blocks
    if positions.ndim != 3 or positions.shape[0] != 1 or positions.shape[1] < blocks:
        raise KeyLockError(
            f"A position embedding for this lock has the shape (1, {blocks} or more, width), not "
            f"{tuple(positions.shape)}.",
            hint="Give the model's position embedding, with one row for each block.",
        )


def _unfoldable(message: str) -> KeyLockError:
    return KeyLockError(
        message, hint="Fold a key of shuffle and flip, shared by all blocks, or train the lock."
    )
