"""A key lock as a module: in front of a network, on any device, its key in no saved file."""

import copy
from collections.abc import Sequence
from multiprocessing.context import get_spawning_popen
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spellmark.locks.key_lock.parameters import KeyLockError
from spellmark.locks.key_lock.transforms import Transform, wrong_images

Images = npt.NDArray[np.uint8]


class KeyedTransform(nn.Module):
    """A key lock's transform as a module: uint8 (n, channels, height, width) to uint8.

    With padding the result is larger (`transform.geometry.keyed_shape`). `.to(device)` moves it;
    batches on the CPU go through the compiled kernel without a copy, others through tensor
    operations that give the same bytes.

    The key is in no `state_dict`. A whole module that is saved or pickled would hold it, and so
    would an exported or traced graph: both raise KeyLockError. Copies within the process
    (`copy.deepcopy`) and the start of worker processes are free.
    """

    index: torch.Tensor | None
    mask: torch.Tensor | None
    which: torch.Tensor | None
    tables: torch.Tensor

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform
        t = transform
        buffers = {
            "index": None if t.index is None else torch.from_numpy(t.index.astype(np.int64)),
            "mask": None if t.mask is None else torch.from_numpy(t.mask.copy()),
            "which": None if t.which is None else torch.from_numpy(t.which.astype(np.int64)),
            "tables": torch.from_numpy(t.tables.copy()),
        }
        for name, values in buffers.items():
            # What is persistent would be saved with the weights.
            self.register_buffer(name, values, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Transform a batch on the module's device, or on the CPU. Raises KeyLockError."""
        tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if tracing or torch.compiler.is_exporting():
            raise KeyLockError(
                "A graph that is exported from this module would hold the key.",
                hint="Export the network alone; spellmark.locks.key_lock.onnx_export puts the "
                "lock before it with the key as an input.",
            )
        shape = self.transform.geometry.shape
        is_batch = isinstance(images, torch.Tensor) and images.dtype == torch.uint8
        if not is_batch or images.shape[1:] != shape:
            raise wrong_images(images, shape)
        if images.device.type == "cpu" and not torch.compiler.is_compiling():
            return torch.from_numpy(self.transform(images.numpy()))
        return self._by_tensors(images)

    def _by_tensors(self, images: torch.Tensor) -> torch.Tensor:
        values = images.flatten(1)
        if self.index is not None:
            values = values.index_select(1, self.index)
        if self.mask is not None:
            values = values ^ self.mask
        if self.which is not None:
            values = self.tables[self.which, values.long()]
        return values.reshape(-1, *self.transform.geometry.keyed_shape)

    @overload
    def transform_batch(self, images: Images) -> Images: ...
    @overload
    def transform_batch(self, images: torch.Tensor) -> torch.Tensor: ...
    def transform_batch(self, images: Images | torch.Tensor) -> Images | torch.Tensor:
        """Transform a batch of NumPy or of torch, and give the same kind back.

        uint8 (n, channels, height, width). Raises KeyLockError.
        """
        if isinstance(images, np.ndarray):
            return self.transform(images)
        keyed: torch.Tensor = self(images)
        return keyed

    def extra_repr(self) -> str:
        """The public size of the images and blocks."""
        g = self.transform.geometry
        return f"{g.channels}×{g.height}×{g.width}, blocks of {g.block}"

    def __getstate__(self) -> dict[str, Any]:
        # What goes to a process that is just starting goes through a pipe, never into a file.
        if get_spawning_popen() is None:
            raise KeyLockError(
                "A keyed module is not saved, since its file would hold the key.",
                hint="Save the network's state_dict, and make the module from the key file again.",
            )
        return self.__dict__

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = self.__class__.__new__(self.__class__)
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin


class KeyedInput(nn.Module):
    """A key lock's transform and the normalisation after it, in front of a network.

    uint8 (n, channels, height, width) to float32 of the keyed shape: scaled to [0, 1], less `mean`,
    over `std`, one number for each channel, exactly as `training.inference.to_input` does. Its
    `state_dict` is empty.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, transform: Transform, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.keyed = KeyedTransform(transform)
        check_normalisation(transform, mean, std)
        for name, values in (("mean", mean), ("std", std)):
            numbers = torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
            self.register_buffer(name, numbers, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The network's input for a batch. Raises KeyLockError."""
        pixels: torch.Tensor = self.keyed(images).float()
        return pixels.div_(255).sub_(self.mean).div_(self.std)


def check_normalisation(transform: Transform, mean: Sequence[float], std: Sequence[float]) -> None:
    """Raises KeyLockError unless there is a mean and a deviation above 0 for each channel."""
    channels = transform.geometry.channels
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        raise KeyLockError(
            f"Normalisation takes {channels} mean(s) and {channels} deviation(s) above 0.",
            hint="Give those of the model's card, one for each channel.",
        )
