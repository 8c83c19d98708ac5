"""The transform form: images are keyed, everything else comes back as it was."""

import pickle
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from spellmark.locks.key_lock.parameters import Geometry, KeyLockError, LockParameters
from spellmark.locks.key_lock.torchvision_transform import KeyedImage
from spellmark.locks.key_lock.transforms import Transform

COLOUR, GREY = (3, 8, 12), (1, 8, 12)


def _transform(shape=COLOUR, padding: str = "none") -> Transform:
    parameters = LockParameters(block=4, steps="scramble+shuffle+flip", padding=padding)
    return Transform.from_key(bytes(32), Geometry(*shape, 4, padding), parameters)


def _images(shape=COLOUR, count: int = 6) -> torch.Tensor:
    drawn = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    return torch.from_numpy(drawn)


IMAGES = _images()
KEYED = torch.from_numpy(_transform()(IMAGES.numpy()))
keyed_image = KeyedImage(_transform())


def _hwc(images: torch.Tensor) -> np.ndarray:
    return images.movedim(-3, -1).numpy()


def test_tensors():
    assert torch.equal(keyed_image(IMAGES[0]), KEYED[0])
    assert torch.equal(keyed_image(IMAGES), KEYED)
    film = keyed_image(IMAGES.view(2, 3, *COLOUR))
    assert torch.equal(film, KEYED.view(2, 3, *COLOUR))


def test_arrays():
    assert np.array_equal(keyed_image(_hwc(IMAGES[0])), _hwc(KEYED[0]))
    assert np.array_equal(keyed_image(_hwc(IMAGES)), _hwc(KEYED))


def test_colour_pictures():
    keyed = keyed_image(Image.fromarray(_hwc(IMAGES[0])))
    assert keyed.mode == "RGB"
    assert np.array_equal(np.asarray(keyed), _hwc(KEYED[0]))


def test_grey_pictures_and_arrays():
    transform, images = _transform(GREY), _images(GREY)
    wanted = transform(images.numpy())[0]
    grey = KeyedImage(transform)
    picture = grey(Image.fromarray(images[0, 0].numpy()))
    assert picture.mode == "L"
    assert np.array_equal(np.asarray(picture), wanted[0])
    assert np.array_equal(grey(images[0, 0].numpy()), wanted[0])
    assert np.array_equal(grey(images[0, 0].numpy()[..., None]), wanted[0][..., None])


def test_padding_makes_larger_images():
    shape = (3, 7, 9)
    transform, image = _transform(shape, "edge"), _images(shape)[0]
    wanted = transform(image[None].numpy())[0]
    padding = KeyedImage(transform)
    assert wanted.shape == (3, 8, 12)
    assert np.array_equal(padding(image).numpy(), wanted)
    assert padding(Image.fromarray(_hwc(image))).size == (12, 8)


Sample = namedtuple("Sample", "image label")


def test_samples_keep_their_form_and_their_other_items():
    label, weight = torch.tensor(3), torch.ones(2)
    image, others = keyed_image(IMAGES[0], [label, {"weight": weight, "name": "cat"}])
    assert torch.equal(image, KEYED[0])
    assert others[0] is label and others[1]["weight"] is weight and others[1]["name"] == "cat"

    named = keyed_image(Sample(IMAGES[0], 7))
    assert isinstance(named, Sample) and named.label == 7 and torch.equal(named.image, KEYED[0])

    row = keyed_image({"image": IMAGES[0], "label": 7, "path": None})
    assert torch.equal(row["image"], KEYED[0]) and (row["label"], row["path"]) == (7, None)


def test_only_the_first_plain_tensor_is_an_image_and_none_beside_a_picture():
    second = IMAGES[1]
    image, passed = keyed_image(IMAGES[0], second)
    assert torch.equal(image, KEYED[0]) and passed is second
    target = np.zeros((8, 12, 3), np.uint8)
    passed, picture = keyed_image(target, Image.fromarray(_hwc(IMAGES[0])))
    assert passed is target and np.array_equal(np.asarray(picture), _hwc(KEYED[0]))


def test_all_pictures_of_a_sample_are_keyed():
    pictures = keyed_image([Image.fromarray(_hwc(image)) for image in IMAGES[:2]])
    for picture, wanted in zip(pictures, KEYED, strict=False):
        assert np.array_equal(np.asarray(picture), _hwc(wanted))


def test_it_leaves_the_sample_alone():
    image, sample = IMAGES[0].clone(), {"image": IMAGES[0], "label": 1}
    keyed_image(sample)
    assert sample["image"] is not None and torch.equal(sample["image"], image)


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (IMAGES[0].float(), "uint8 images"),
        (IMAGES[0, :, :4], "uint8 images"),
        (IMAGES[0, 0], "uint8 images"),
        (_hwc(IMAGES[0]).astype(np.float32), "uint8 images"),
        (_hwc(IMAGES[0])[:, :, 0], "uint8 images"),
        (torch.tensor(3), "uint8 images"),
        (Image.new("RGBA", (12, 8)), "pictures of mode RGB, not RGBA"),
        (Image.new("L", (12, 8)), "pictures of mode RGB, not L"),
        (Image.new("RGB", (8, 12)), "uint8 images"),
        (("cat", 3), "no image in this sample"),
        ({}, "no image in this sample"),
    ],
)
def test_it_refuses_what_it_cannot_key(sample, said):
    with pytest.raises(KeyLockError, match=said):
        keyed_image(sample)


def test_it_keeps_its_key():
    assert not keyed_image.state_dict()
    with pytest.raises(KeyLockError, match="would hold the key"):
        pickle.dumps(keyed_image)


class _Pictures(Dataset):
    def __init__(self) -> None:
        self.transform = KeyedImage(_transform())

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, number: int):
        return self.transform(IMAGES[number], number)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_it_works_in_a_data_loaders_workers(start):
    loader = DataLoader(_Pictures(), batch_size=4, num_workers=2, multiprocessing_context=start)
    images, numbers = (torch.cat(part) for part in zip(*loader, strict=True))
    assert numbers.tolist() == list(range(len(IMAGES)))
    assert torch.equal(images, KEYED)


def test_it_does_not_load_torchvision():
    """Nor does it look for it: torchvision is slow to load and need not fit this torch."""
    code = (
        "import sys, torch\n"
        "from spellmark.locks.key_lock.parameters import Geometry, LockParameters\n"
        "from spellmark.locks.key_lock.torchvision_transform import KeyedImage\n"
        "from spellmark.locks.key_lock.transforms import Transform\n"
        "class Trap:\n"
        "    def find_spec(self, name, *more):\n"
        "        assert not name.startswith('torchvision'), name\n"
        "sys.meta_path.insert(0, Trap())\n"
        "t = Transform.from_key(bytes(32), Geometry(1, 4, 4, 2),"
        " LockParameters(block=2, steps='flip'))\n"
        "KeyedImage(t)(torch.zeros(1, 4, 4, dtype=torch.uint8))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_torchvisions_own_kinds():
    vision = pytest.importorskip("torchvision.tv_tensors")
    image, mask = vision.Image(IMAGES[0]), vision.Mask(torch.zeros(8, 12, dtype=torch.uint8))
    other = IMAGES[1]
    keyed, same_mask, same_other = keyed_image(image, mask, other)
    assert type(keyed) is vision.Image and torch.equal(keyed.as_subclass(torch.Tensor), KEYED[0])
    assert same_mask is mask and same_other is other
    film = keyed_image(vision.Video(IMAGES))
    assert type(film) is vision.Video and torch.equal(film.as_subclass(torch.Tensor), KEYED)
    with pytest.raises(KeyLockError, match="no image"):
        keyed_image(mask)


def test_torchvision_composes_it():
    pytest.importorskip("torchvision.tv_tensors")
    from torchvision.transforms import v2

    pipeline = v2.Compose([v2.ToImage(), keyed_image, v2.ToDtype(torch.float32, scale=True)])
    image, label = pipeline(Image.fromarray(_hwc(IMAGES[0])), 5)
    assert label == 5
    # torchvision multiplies by 1/255, which rounds otherwise than a division.
    assert torch.equal(image.as_subclass(torch.Tensor).mul(255).round().byte(), KEYED[0])
