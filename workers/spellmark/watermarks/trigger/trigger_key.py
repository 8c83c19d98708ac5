"""An opened trigger key: images and labels that nobody chose, and the tree that holds them."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from spellmark.evidence.trigger_leaves import Opening, TriggerTree, leaf_hash
from spellmark.secrets import KeyFile, stream, subkey, uniform
from spellmark.watermarks.trigger.parameters import SCHEME, TriggerMarkError, TriggerParameters

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TriggerKey:
    """All triggers of one key, for one owner, under what the registry drew.

    owner: the organisation's id, so that a key that was taken over gives other triggers.
    """

    parameters: TriggerParameters
    owner: str
    _secret: bytes = field(repr=False)
    _binding: bytes = field(repr=False)

    @classmethod
    def open(cls, file: KeyFile, *, owner: str, binding: bytes) -> Self:
        """Open a key file. Raises TriggerMarkError.

        binding: what the registry drew after the commitment had come in.
        """
        if file.scheme != SCHEME:
            raise TriggerMarkError(
                f"This key file is for {file.scheme}, not for a trigger watermark.",
                hint="Choose the key file whose commitment was registered for the watermark.",
            )
        if not owner or not binding:
            raise TriggerMarkError(
                "Triggers need their owner and the registry's binding.",
                hint="Take both from the registered commitment.",
            )
        parameters = TriggerParameters.from_dict(file.parameters)
        return cls(parameters, owner, file.secret, binding)

    def image(self, leaf: int) -> Images:
        """A trigger image, uint8 (C, H, W): a grid of cells, each of one uniform shade of 0..255.

        Large cells rather than noise, so that networks that pool can tell triggers apart.
        """
        channels, height, width = self.parameters.shape
        grid = self.parameters.grid
        drawn = stream(self._key("image", leaf), channels * grid * grid)
        cells = np.frombuffer(drawn, np.uint8).reshape(channels, grid, grid)
        rows, columns = (np.arange(side) * grid // side for side in (height, width))
        return np.ascontiguousarray(cells[:, rows[:, None], columns[None, :]])

    def label(self, leaf: int) -> int:
        """The label that a marked model gives it: uniform, and independent of everything else."""
        return uniform(self._key("label", leaf), self.parameters.classes)

    @cached_property
    def images(self) -> Images:
        """All trigger images, uint8 (triggers, C, H, W)."""
        return np.stack([self.image(leaf) for leaf in range(self.parameters.triggers)])

    @cached_property
    def labels(self) -> Labels:
        """All labels, int64 (triggers,)."""
        found = [self.label(leaf) for leaf in range(self.parameters.triggers)]
        return np.array(found, np.int64)

    @cached_property
    def tree(self) -> TriggerTree:
        """The Merkle tree over all triggers, whose root is registered before the first run."""
        return TriggerTree(
            tuple(
                leaf_hash(leaf, self._salt(leaf), image_digest(image), int(label))
                for leaf, (image, label) in enumerate(zip(self.images, self.labels, strict=True))
            )
        )

    def opening(self, leaf: int) -> Opening:
        """What shows that a trigger stands in the tree, and nothing of the others."""
        return Opening(int(self.labels[leaf]), self._salt(leaf), self.tree.path(leaf))

    def _salt(self, leaf: int) -> bytes:
        # Else a label could be guessed from the neighbours' hashes that an opening shows.
        return self._key("salt", leaf)

    def _key(self, purpose: str, leaf: int) -> bytes:
        return subkey(
            self._secret,
            binding=self._binding,
            scheme=SCHEME,
            purpose=f"{purpose} of {self.owner}",
            index=leaf,
        )


def image_digest(image: Images) -> str:
    """SHA-256 of an image's bytes, 64 hex digits, as transcripts name images."""
    return hashlib.sha256(image.tobytes()).hexdigest()
