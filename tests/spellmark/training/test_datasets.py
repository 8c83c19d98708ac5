import gzip

import numpy as np
import pytest
from PIL import Image

from spellmark.training import datasets
from spellmark.training.datasets import DatasetError


def _arrays(shape: tuple[int, ...] = (12, 6, 6)) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "train_images": generator.integers(0, 256, shape, np.uint8),
        "train_labels": np.arange(shape[0]) % 3,
        "test_images": generator.integers(0, 256, shape, np.uint8),
        "test_labels": np.arange(shape[0]) % 3,
    }


def test_the_subset_in_the_repository_is_whole():
    data = datasets.load("fashion-mnist", folders=[datasets.search_path()[-1]])
    assert data.train.images.shape == (12_000, 1, 28, 28)
    assert data.test.images.shape == (2_000, 1, 28, 28)
    assert data.classes == 10


@pytest.mark.parametrize(
    ("given", "read"),
    [((12, 6, 6), (12, 1, 6, 6)), ((12, 6, 6, 3), (12, 3, 6, 6)), ((12, 3, 6, 6), (12, 3, 6, 6))],
)
def test_it_reads_npz_grey_and_colour(tmp_path, given, read):
    np.savez(tmp_path / "mine.npz", **_arrays(given))
    data = datasets.load("mine", folders=[tmp_path])
    assert data.train.images.shape == read
    assert data.classes == 3


def test_it_reads_a_folder_of_images(tmp_path):
    for split in ("train", "test"):
        for number, name in enumerate(("cat", "dog")):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            picture = Image.fromarray(np.full((6, 8, 3), 100 * number, np.uint8))
            picture.save(folder / "1.png")
    data = datasets.load("pets", folders=[tmp_path])
    assert data.train.images.shape == (2, 3, 6, 8)
    assert data.train.labels.tolist() == [0, 1]
    assert data.train.images[1].max() == 100


def test_it_reads_idx_packed_or_not(tmp_path):
    folder = tmp_path / "digits"
    folder.mkdir()
    arrays = _arrays()
    for split, (images, labels) in datasets.IDX_FILES.items():
        pixels = arrays[f"{split}_images"]
        header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in pixels.shape)
        (folder / f"{images}.gz").write_bytes(gzip.compress(header + pixels.tobytes()))
        wanted = arrays[f"{split}_labels"].astype(np.uint8)
        header = b"\0\0\x08\x01" + len(wanted).to_bytes(4, "big")
        (folder / labels).write_bytes(header + wanted.tobytes())
    data = datasets.load("digits", folders=[tmp_path])
    assert np.array_equal(data.test.images[:, 0], arrays["test_images"])
    assert np.array_equal(data.test.labels, arrays["test_labels"])


def test_it_refuses_names_that_are_paths(tmp_path):
    for name in ("../secret", "/etc", ".hidden"):
        with pytest.raises(DatasetError, match="not the name of a data set"):
            datasets.load(name, folders=[tmp_path])


def test_it_names_what_is_missing(tmp_path):
    with pytest.raises(DatasetError, match="no data set named “nothing”"):
        datasets.load("nothing", folders=[tmp_path])
    np.savez(tmp_path / "half.npz", train_images=_arrays()["train_images"])
    with pytest.raises(DatasetError, match="no array named train_labels"):
        datasets.load("half", folders=[tmp_path])


def test_it_refuses_arrays_that_are_pickles(tmp_path):
    np.savez(tmp_path / "evil.npz", **{**_arrays(), "train_labels": np.array([{}], object)})
    with pytest.raises(DatasetError, match="not a plain NPZ"):
        datasets.load("evil", folders=[tmp_path])


def test_it_refuses_labels_that_do_not_fit(tmp_path):
    np.savez(tmp_path / "short.npz", **{**_arrays(), "train_labels": np.arange(5)})
    with pytest.raises(DatasetError, match="12 images but 5 labels"):
        datasets.load("short", folders=[tmp_path])


def test_it_refuses_a_truncated_idx_file(tmp_path):
    folder = tmp_path / "cut"
    folder.mkdir()
    for images, labels in datasets.IDX_FILES.values():
        (folder / images).write_bytes(b"\0\0\x08\x03\0\0\0\x09\0\0\0\x06\0\0\0\x06abc")
        (folder / labels).write_bytes(b"\0\0\x08\x01\0\0\0\x09")
    with pytest.raises(DatasetError, match="not a whole IDX file"):
        datasets.load("cut", folders=[tmp_path])
