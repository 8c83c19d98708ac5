"""A key lock as a transform in the manner of torchvision.transforms.v2, without torchvision."""

import math
import sys
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils import _pytree as pytree  # as torchvision itself does

from spellmark.locks.key_lock.modules import KeyedTransform
from spellmark.locks.key_lock.parameters import KeyLockError
from spellmark.locks.key_lock.transforms import Transform

MODES = {1: "L", 3: "RGB"}


class KeyedImage(nn.Module):
    """Transforms the images of a sample under the key and passes everything else through.

    A sample is one item, several arguments, or a nest of tuples, lists and dicts. Images are: uint8
    tensors (…, channels, height, width), PIL images (RGB or L), uint8 arrays (…, height, width,
    channels) or, for one channel, (height, width), and torchvision's `tv_tensors.Image` and
    `Video`; each comes back as its own kind. As in torchvision, a plain tensor or array is an image
    only if the sample has no other image, and then only the first of them. What says where
    something stands in the image, such as a box or a mask of torchvision, passes through as well.

    Use it before images become floats. Like KeyedTransform it keeps the key out of `state_dict` and
    refuses to be saved. Raises KeyLockError for images of another size, type or mode, and for a
    sample without an image, which would otherwise go to the model unkeyed and unnoticed.
    """

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.keyed = KeyedTransform(transform)

    def forward(self, *sample: Any) -> Any:
        """The sample with its images transformed."""
        items, nest = pytree.tree_flatten(sample if len(sample) > 1 else sample[0])
        images = [place for place, item in enumerate(items) if _is_image(item)]
        if not images:
            images = [place for place, item in enumerate(items) if _is_plain(item)][:1]
        if not images:
            raise KeyLockError(
                "There is no image in this sample.",
                hint="Give a uint8 tensor, a PIL image or a uint8 array, alone or in a sample.",
            )
        for place in images:
            items[place] = self._transformed(items[place])
        return pytree.tree_unflatten(items, nest)

    def _transformed(self, image: Any) -> Any:
        if isinstance(image, Image.Image):
            return self._picture(image)
        if isinstance(image, np.ndarray):
            return self._array(image)
        keyed = self._tensor(image.as_subclass(torch.Tensor))
        vision = _tv_tensors()
        if vision is not None and isinstance(image, vision.TVTensor):
            return vision.wrap(keyed, like=image)
        return keyed

    def _tensor(self, image: torch.Tensor) -> torch.Tensor:
        *leading, channels, height, width = (1, 1, 1, *image.shape)[-max(image.ndim, 3) :]
        keyed = self.keyed.transform_batch(image.reshape(-1, channels, height, width))
        return keyed.reshape(*leading, *keyed.shape[1:])

    def _array(self, image: Any) -> Any:
        if image.ndim == 2:
            return self._array(image[..., None])[..., 0]
        *leading, height, width, channels = (1, 1, 1, *image.shape)[-max(image.ndim, 3) :]
        count = math.prod(leading)
        batch = image.reshape(count, height, width, channels).transpose(0, 3, 1, 2)
        keyed = self.keyed.transform_batch(batch).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(keyed).reshape(*leading, *keyed.shape[1:])

    def _picture(self, image: Image.Image) -> Image.Image:
        mode = MODES.get(self.keyed.transform.geometry.channels)
        if image.mode != mode:
            raise KeyLockError(
                f"This lock works on pictures of mode {mode}, not {image.mode}.",
                hint=f'Convert the picture first: image.convert("{mode}").',
            )
        return Image.fromarray(self._array(np.asarray(image)))


def _is_image(item: Any) -> bool:
    vision = _tv_tensors()
    if vision is not None and isinstance(item, vision.Image | vision.Video):
        return True
    return isinstance(item, Image.Image)


def _is_plain(item: Any) -> bool:
    vision = _tv_tensors()
    if vision is not None and isinstance(item, vision.TVTensor):
        return False
    return isinstance(item, torch.Tensor | np.ndarray)


def _tv_tensors() -> Any:
    """torchvision's tensor types if somebody has loaded them: only then can there be one."""
    return sys.modules.get("torchvision.tv_tensors")
