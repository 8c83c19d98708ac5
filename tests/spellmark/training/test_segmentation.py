import numpy as np
import pytest
import torch

from spellmark.model_files.card import ModelCard
from spellmark.training import datasets
from spellmark.training.canvases import compose, silhouettes
from spellmark.training.datasets import DatasetError, Split
from spellmark.training.fit import Recipe, fit, one_hot
from spellmark.training.segmentation import SegmentationSplit, mean_iou, predict_masks
from spellmark.training.small_nets import SmallUNet

CARD = ModelCard(
    architecture="small-unet", classes=3, channels=1, height=20, width=20, mean=(0.45,), std=(0.3,)
)


@pytest.fixture(scope="module")
def garments() -> Split:
    return datasets.load("fashion-mnist").train[:300]


def _bars(channels: int = 1) -> Split:
    """Bright bars that lie (label 0) or stand (label 1) in the middle of dark images."""
    images = np.zeros((2, channels, 12, 12), np.uint8)
    images[0, :, 4:8] = 250
    images[1, :, :, 4:8] = 250
    return Split(images, np.arange(2))


@pytest.mark.parametrize("channels", [1, 3])
def test_canvases_are_composed_and_repeatable(channels):
    first, second = (
        compose(_bars(channels), 40, np.random.default_rng(3), side=20) for _ in range(2)
    )
    assert first.images.shape == (40, channels, 20, 20)
    assert first.images.dtype == np.uint8
    assert set(np.unique(first.masks)) == {0, 1, 2}
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.masks, second.masks)
    other = compose(_bars(channels), 40, np.random.default_rng(4), side=20)
    assert not np.array_equal(first.images, other.images)


def test_a_mask_is_where_its_item_lies():
    canvases = compose(_bars(), 60, np.random.default_rng(0), side=24, most=1, sizes=(0.5, 0.5))
    for image, mask in zip(canvases.images[:, 0], canvases.masks, strict=True):
        rows, columns = np.nonzero(mask)
        lies = mask.max() == 1
        assert (np.ptp(columns) > np.ptp(rows)) == lies
        assert (image[mask > 0] == 250).all()
    # Textures differ in kind and tone: no two grounds are alike, and some have many tones.
    tones = [
        len(np.unique(image[mask == 0]))
        for image, mask in zip(canvases.images[:, 0], canvases.masks, strict=True)
    ]
    assert min(tones) <= 2 < 20 < max(tones)


def test_labels_share_classes_when_told_so(garments):
    canvases = compose(garments, 50, np.random.default_rng(0), classes=[1, 2] + [1] * 8)
    assert set(np.unique(canvases.masks)) == {0, 1, 2}


def test_small_holes_are_filled_and_large_ones_are_not():
    image = np.zeros((1, 1, 28, 28), np.uint8)
    image[..., 4:24, 4:24] = 200
    image[..., 6:9, 6:9] = 0
    image[..., 12:22, 12:22] = 0
    shape = silhouettes(image)[0]
    assert shape[6:9, 6:9].all()
    assert not shape[12:22, 12:22].any()
    assert not shape[:4].any()


@pytest.mark.parametrize(
    "options",
    [{"classes": [1]}, {"classes": [0, 1]}, {"sizes": (0, 0.5)}, {"sizes": (0.5, 1.2)}],
)
def test_what_cannot_be_composed_is_refused(options):
    with pytest.raises(DatasetError) as refused:
        compose(_bars(), 1, np.random.default_rng(0), **options)
    assert refused.value.hint


def test_nothing_can_be_composed_of_no_items():
    with pytest.raises(DatasetError):
        compose(_bars()[:0], 1, np.random.default_rng(0))


def test_a_split_has_a_class_for_every_pixel():
    images = np.zeros((2, 1, 4, 6), np.uint8)
    masks = np.zeros((2, 4, 6), np.int64)
    assert len(SegmentationSplit(images, masks)[:1]) == 1
    with pytest.raises(DatasetError, match="masks"):
        SegmentationSplit(images, masks[:, :3])
    with pytest.raises(DatasetError, match="images"):
        SegmentationSplit(images[:, 0], masks)


def test_mean_iou_by_hand():
    masks = np.array([[[0, 0, 1, 1]], [[0, 0, 2, 2]]])
    found = np.array([[[0, 1, 1, 1]], [[0, 0, 2, 0]]])
    # Background 3 of 5, class 1 two of three, class 2 one of two; class 3 is in neither.
    assert mean_iou(found, masks, 4) == pytest.approx((3 / 5 + 2 / 3 + 1 / 2) / 3)
    assert mean_iou(masks, masks, 4) == 1
    assert mean_iou(1 - np.minimum(masks, 1), np.minimum(masks, 1), 2) == 0
    assert mean_iou(np.full_like(masks, 3), masks, 3) == 0
    assert mean_iou(masks[:0], masks[:0], 3) == 0


def test_mean_iou_does_not_depend_on_the_names_of_the_classes():
    generator = np.random.default_rng(0)
    found, masks = generator.integers(4, size=(2, 5, 6, 7))
    names = generator.permutation(4)
    assert mean_iou(names[found], names[masks], 4) == pytest.approx(mean_iou(found, masks, 4))


def test_targets_of_pixels_and_of_images_are_alike():
    masks = np.random.default_rng(0).integers(3, size=(2, 4, 5))
    dense = one_hot(masks, 3)
    assert dense.shape == (2, 3, 4, 5)
    assert np.array_equal(dense.argmax(1).numpy(), masks)
    assert torch.equal(dense[:, :, 1, 2], one_hot(masks[:, 1, 2], 3))


def test_a_small_unet_learns_to_segment():
    train = compose(_bars(), 300, np.random.default_rng(0), side=20)
    test = compose(_bars(), 60, np.random.default_rng(1), side=20)
    torch.manual_seed(0)
    model = SmallUNet(1, 3, width=8)
    untrained = mean_iou(predict_masks(model, CARD, test.images), test.masks, 3)
    fit(model, CARD, train, Recipe(epochs=6, batch=16, learning_rate=1e-2))
    found = predict_masks(model, CARD, test.images)
    assert found.shape == test.masks.shape
    assert found.dtype == np.int64
    assert mean_iou(found, test.masks, 3) > 0.7
    assert untrained < 0.4


def test_predicted_classes_can_be_cut_off():
    class Last(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([0.0, 2, 3]).view(1, 3, 1, 1).expand(len(images), 3, 20, 20)

    images = np.zeros((2, 1, 20, 20), np.uint8)
    assert (predict_masks(Last(), CARD, images) == 2).all()
    assert (predict_masks(Last(), CARD, images, 2) == 1).all()
    assert predict_masks(Last(), CARD, images[:0]).shape == (0, 20, 20)
