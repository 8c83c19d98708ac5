import numpy as np
import pytest
from transformers import BitImageProcessorPil, EfficientNetImageProcessorPil, ViTImageProcessorPil

from spellmark.training.errors import ImportFolderError
from spellmark.training.image_processors import image_size, normalisation


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"size": 32}, (32, 32)),
        ({"size": {"height": 24, "width": 32}}, (24, 32)),
        ({"size": {"shortest_edge": 384}}, (384, 384)),
        ({"size": 256, "crop_size": 224}, (256, 256)),
        ({"size": 256, "crop_size": 224, "do_center_crop": True}, (224, 224)),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 9, "width": 8},
          "do_center_crop": True}, (9, 8)),
    ],
)  # fmt: skip
def test_it_reads_the_size(fields, size):
    assert image_size(fields) == size


@pytest.mark.parametrize("fields", [{}, {"size": "32"}, {"size": {"longest_edge": 32}}])
def test_it_refuses_a_size_it_cannot_read(fields):
    with pytest.raises(ImportFolderError, match="does not say the size"):
        image_size(fields)


@pytest.mark.parametrize(
    "processor",
    [
        ViTImageProcessorPil(),
        ViTImageProcessorPil(image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6]),
        ViTImageProcessorPil(do_normalize=False),
        ViTImageProcessorPil(do_rescale=False),
        ViTImageProcessorPil(rescale_factor=1 / 127.5),
        BitImageProcessorPil(do_rescale=False, do_normalize=False),
    ],
)
def test_it_normalises_as_the_processor_does(processor):
    fields = processor.to_dict()
    height, width = image_size(fields)
    image = np.random.default_rng(0).integers(0, 256, (3, height, width), np.uint8)
    theirs = processor(image, input_data_format="channels_first").pixel_values[0]
    mean, std = (np.array(each).reshape(3, 1, 1) for each in normalisation(fields, 3))
    assert np.allclose((image / 255 - mean) / std, theirs, rtol=1e-5, atol=1e-5)


def test_it_refuses_what_is_more_than_normalisation():
    with pytest.raises(ImportFolderError, match="it has “include_top” on"):
        normalisation(EfficientNetImageProcessorPil(include_top=True).to_dict(), 3)
