"""Image classification data sets: IDX, NPZ or a folder of images, any size, 1 or 3 channels."""

import gzip
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spellmark.errors import SpellmarkError

IDX_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


class DatasetError(SpellmarkError):
    """A data set that is missing or cannot be read."""


@dataclass(frozen=True)
class Split:
    """Images, uint8 of shape (n, channels, height, width), and labels, int64 of shape (n,)."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[1] not in (1, 3):
            raise DatasetError(
                f"The images have shape {self.images.shape}, not (n, 1 or 3, height, width).",
                hint="Give grey images as (n, height, width), colour as (n, height, width, 3).",
            )
        if self.labels.shape != (len(self.images),):
            raise DatasetError(
                f"{len(self.images)} images but {self.labels.size} labels.",
                hint="Give exactly one whole-number label for every image.",
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice) -> "Split":
        return Split(self.images[part], self.labels[part])


@dataclass(frozen=True)
class Dataset:
    """A named data set; labels count from 0 to classes - 1."""

    name: str
    train: Split
    test: Split

    @property
    def classes(self) -> int:
        """The number of classes, from the largest label seen."""
        return int(max(self.train.labels.max(), self.test.labels.max())) + 1


def search_path() -> list[Path]:
    """Where a data set's name is looked up: SPELLMARK_DATA, Debian's data sets, the repository."""
    given = [Path(part) for part in os.environ.get("SPELLMARK_DATA", "").split(os.pathsep) if part]
    repository = Path(__file__).parents[3] / "data"
    return [*given, Path("/usr/share/datasets"), repository]


def names() -> list[str]:
    """The data sets that `load` finds by name."""
    found = {
        entry.stem if entry.suffix == ".npz" else entry.name
        for folder in search_path()
        if folder.is_dir()
        for entry in folder.iterdir()
        if entry.suffix == ".npz" or (entry.is_dir() and _is_dataset(entry))
    }
    return sorted(found)


def load(name: str, *, folders: list[Path] | None = None) -> Dataset:
    """Load a data set by name from the search path (or from `folders`). Raises DatasetError."""
    if Path(name).name != name or name.startswith("."):
        raise DatasetError(
            f"“{name}” is not the name of a data set.", hint="Give a name without slashes."
        )
    for folder in search_path() if folders is None else folders:
        for candidate in (folder / name, folder / f"{name}.npz"):
            if candidate.suffix == ".npz" and candidate.is_file():
                return load_path(candidate)
            if candidate.is_dir() and _is_dataset(candidate):
                return load_path(candidate)
    raise DatasetError(
        f"There is no data set named “{name}” here.",
        hint=f"Known here: {', '.join(names()) or 'none'}. Others go into a folder of that name "
        "below the path in SPELLMARK_DATA.",
    )


def find(name_or_path: str) -> Dataset:
    """Load a data set by name, or from a path where there is one. Raises DatasetError."""
    path = Path(name_or_path)
    return load_path(path) if path.exists() else load(name_or_path)


def load_path(path: Path) -> Dataset:
    """Load a data set from an NPZ file, a folder of IDX files or a folder of images."""
    if path.suffix == ".npz":
        return _load_npz(path)
    if _idx_path(path, IDX_FILES["train"][0]):
        return _load_idx(path)
    return _load_folder(path)


def _is_dataset(folder: Path) -> bool:
    return bool(_idx_path(folder, IDX_FILES["train"][0])) or (folder / "train").is_dir()


def _idx_path(folder: Path, name: str) -> Path | None:
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def _load_idx(folder: Path) -> Dataset:
    splits = {}
    for split, (images, labels) in IDX_FILES.items():
        pixels = _read_idx(folder, images)
        if pixels.ndim == 3:
            pixels = pixels[:, None]
        splits[split] = Split(pixels, _read_idx(folder, labels).astype(np.int64))
    return Dataset(folder.name, splits["train"], splits["test"])


def _read_idx(folder: Path, name: str) -> npt.NDArray[np.uint8]:
    path = _idx_path(folder, name)
    if path is None:
        raise DatasetError(f"{folder} has no {name}(.gz).", hint="Add the file that is missing.")
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zero, kind, dimensions = struct.unpack(">HBB", data[:4])
        shape = struct.unpack(f">{dimensions}I", data[4 : 4 + 4 * dimensions])
        if zero != 0 or kind != 8:
            raise ValueError("not unsigned bytes")
        return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise DatasetError(
            f"{path} is not a whole IDX file of unsigned bytes ({error}).", hint="Copy it again."
        ) from error


def _load_npz(path: Path) -> Dataset:
    wanted = ("train_images", "train_labels", "test_images", "test_labels")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in wanted if name not in arrays]
            if missing:
                raise DatasetError(
                    f"{path.name} has no array named {', '.join(missing)}.",
                    hint=f"An NPZ data set holds {', '.join(wanted)}.",
                )
            parts = [arrays[name] for name in wanted]
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path.name} is not a plain NPZ file.", hint=str(error)) from error
    train, test = (
        Split(_channels_first(images), labels.astype(np.int64))
        for images, labels in (parts[:2], parts[2:])
    )
    return Dataset(path.stem, train, test)


def _channels_first(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if images.dtype != np.uint8:
        raise DatasetError(
            f"The images are {images.dtype}, not uint8.", hint="Give pixel values from 0 to 255."
        )
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return images


def _load_folder(folder: Path) -> Dataset:
    """`train/<class>/*.png` and `test/<class>/*.png`; classes count in the order of their names."""
    train_folder, test_folder = folder / "train", folder / "test"
    if not (train_folder.is_dir() and test_folder.is_dir()):
        raise DatasetError(
            f"{folder} is not a data set.",
            hint="It needs the folders train/ and test/, each with one folder of images a class.",
        )
    classes = sorted(p.name for p in train_folder.iterdir() if p.is_dir())
    return Dataset(
        folder.name, _read_images(train_folder, classes), _read_images(test_folder, classes)
    )


def _read_images(folder: Path, classes: list[str]) -> Split:
    from PIL import Image, UnidentifiedImageError

    images, labels = [], []
    for label, name in enumerate(classes):
        for path in sorted((folder / name).glob("*")):
            if path.suffix.lower() not in IMAGE_ENDINGS:
                continue
            try:
                with Image.open(path) as picture:
                    grey = picture.mode in ("1", "L", "I", "I;16")
                    pixels = np.asarray(picture.convert("L" if grey else "RGB"), np.uint8)
            except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
                raise DatasetError(f"{path} is not an image.", hint="Remove it.") from error
            images.append(pixels[None] if grey else pixels.transpose(2, 0, 1))
            labels.append(label)
    if not images or len({picture.shape for picture in images}) != 1:
        sizes = sorted({picture.shape for picture in images})[:3]
        raise DatasetError(
            f"The images in {folder} are of different sizes: {sizes}."
            if images
            else f"There are no images in {folder}.",
            hint="Resize all images to one size and one number of channels.",
        )
    return Split(np.stack(images), np.asarray(labels, np.int64))
