"""Fronts that know how a key lock's blocks lie in an image."""

import torch

from spellmark.attacks.front import Front
from spellmark.locks.key_lock.parameters import Geometry
from spellmark.locks.key_lock.transforms import block_places


class InBlocks(Front):
    """A front that works on blocks: (n, blocks, positions), in the lock's own order."""

    places: torch.Tensor
    back: torch.Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        places = torch.from_numpy(block_places(geometry).copy())
        self.register_buffer("places", places)
        self.register_buffer("back", places.ravel().argsort())

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The pixels after `in_blocks`."""
        blocks = self.in_blocks(pixels.flatten(1)[:, self.places])
        return blocks.flatten(1)[:, self.back].view_as(pixels)

    def in_blocks(self, values: torch.Tensor) -> torch.Tensor:
        """What the front does to the blocks' values."""
        raise NotImplementedError
