"""Reading a folded key off the weights, when the plain model is public."""

import numpy as np
import numpy.typing as npt
import torch

from spellmark.attacks.attack import AttackError, assignment

Order = npt.NDArray[np.int64]
Chosen = npt.NDArray[np.bool_]
Matrix = npt.NDArray[np.float64]


def recover_folded_key(
    plain_weight: torch.Tensor, folded_weight: torch.Tensor
) -> tuple[Order, Chosen]:
    """The key in a patch embedding's weights, from those before: (order, flipped).

    Both weights are (outputs, channels, block, block). order int64 (positions,): the position that
    comes to each; flipped bool (positions,): whether it is then inverted; positions count by row,
    column, channel as the lock's do. The folded kernel has the plain one's columns in the key's
    order, negated where flipped and scaled at most: a column's direction gives it away. No image
    and no run of the model is needed. Raises AttackError when the shapes differ.
    """
    if plain_weight.shape != folded_weight.shape or plain_weight.ndim != 4:
        raise AttackError(
            "The two weights are not those of one patch embedding.",
            hint="Give two of the same shape, (outputs, channels, block, block).",
        )
    cosines = _columns(folded_weight) @ _columns(plain_weight).T
    order = assignment(np.abs(cosines))
    return order, cosines[np.arange(len(order)), order] < 0


def recover_folded_blocks(
    plain_positions: torch.Tensor, folded_positions: torch.Tensor, blocks: int
) -> Order:
    """The block that comes to each place, int64 (blocks,), from a ViT's position embeddings.

    Both are (1, other tokens + blocks, width), before and after folding. Raises AttackError.
    """
    if plain_positions.shape != folded_positions.shape or plain_positions.ndim != 3:
        raise AttackError(
            "The two position embeddings are not those of one model.",
            hint="Give two of the same shape, (1, other tokens + blocks, width).",
        )
    folded, plain = (_directions(part[0, -blocks:]) for part in (folded_positions, plain_positions))
    return assignment(folded @ plain.T)


def _columns(weight: torch.Tensor) -> Matrix:
    """The directions of a kernel's columns, in the lock's order: (positions, outputs)."""
    return _directions(weight.permute(0, 2, 3, 1).flatten(1).T)


def _directions(rows: torch.Tensor) -> Matrix:
    wide: Matrix = rows.detach().cpu().double().numpy().copy()
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    return wide
