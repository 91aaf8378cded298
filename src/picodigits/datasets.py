"""Datasets: labelled ink pictures to learn from and to measure with.

    digits         scikit-learn's bundled handwritten digits, 8x8; the default, always there
    mnist          the official MNIST files (IDX), 28x28; downloaded into the cache, or from a folder
    strokes        synthetic writers of many schools, 64x64, drawn when asked for; see writers.py
    folder:PATH    pictures in one folder per class: PATH/0/a.png, PATH/seven/b.png

Captures (captures:FOLDER, see captures.py) are frames, not ink: `check` knows them, `load` does not.

Every picture is ink: uint8, 0 = paper, 255 = full ink. Nothing here prints; `download_mnist` reports through
a callback.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import platformdirs
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from picodigits import captures
from picodigits.errors import DatasetError, FrameError
from picodigits.frames import IMAGE_SUFFIXES, natural_key, open_image, replace_atomically
from picodigits.writers import digits as written_digits

Split = Literal["train", "test", "all"]
DIGITS = tuple("0123456789")
FOLDER_PREFIX = "folder:"
FOLDER_SIDE = 28  # class folders: every picture is fitted into 28x28
TEST_EVERY = 5  # class folders without train/ and test/: every fifth picture of a class is for the test
MIN_CONTRAST = 32  # grey levels between paper and the darkest ink; below it a picture counts as blank
DATA_VARIABLE = "PICODIGITS_DATA"
GET_MNIST = "picodigits data get mnist"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled ink pictures.

    images       (N, H, W) uint8, 0 = paper, 255 = full ink
    labels       (N,) int64, index into class_names
    class_names  one name per class, all different
    licence      licence and source, for reports

    Raises DatasetError when the parts do not fit together.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    licence: str

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.uint8 or images.ndim != 3 or 0 in images.shape:
            raise DatasetError(
                f"{self.name}: got images {images.shape} {images.dtype}, need (N, H, W) uint8,"
                " none of them 0. Check what made them."
            )
        if labels.dtype != np.int64 or labels.shape != (len(images),):
            raise DatasetError(
                f"{self.name}: got labels {labels.shape} {labels.dtype}, need ({len(images)},) int64, one per"
                " image. Check what made them."
            )
        if len(set(self.class_names)) != len(self.class_names):
            raise DatasetError(f"{self.name}: got class names {self.class_names}, need different ones. Rename a class.")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(self.class_names):
            raise DatasetError(
                f"{self.name}: got labels {low} to {high}, need 0 to {len(self.class_names) - 1}, one of"
                f" {len(self.class_names)} classes. Check the labels."
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(classes,) int64: how many samples each class has."""
        return np.bincount(self.labels, minlength=len(self.class_names)).astype(np.int64)

    def take(self, indices: NDArray[np.integer] | Sequence[int]) -> Dataset:
        """The samples at `indices`, in that order."""
        return Dataset(self.name, self.images[indices], self.labels[indices], self.class_names, self.licence)

    def first_of_each(self, count: int) -> Dataset:
        """The first `count` samples of every class, class by class."""
        classes = range(len(self.class_names))
        return self.take(np.concatenate([np.flatnonzero(self.labels == c)[:count] for c in classes]))


def load(name: str, split: Split = "train", folder: str | Path | None = None) -> Dataset:
    """The dataset `name`, its `split`: "train", "test", or "all" (train, then test).

    digits       scikit-learn's load_digits, values 0..16 as round(v * 255 / 16); the first 1078 are for
                 training and the last 719 for the test: train_test_split(test_size=0.4, shuffle=False)
    mnist        60 000 and 10 000. The IDX files are looked for in `folder`, else in PICODIGITS_DATA, else in
                 the cache, and what is found must be the official data, whole
    strokes      20 000 and 2 000 by synthetic writers, classes in turn, 64x64; takes some seconds to draw, once
    folder:PATH  classes in natural order of their folders' names. PATH/train and PATH/test where there are
                 both, else every fifth picture of each class is for the test. See `to_ink` for how pictures
                 become ink

    Raises DatasetError, which says what is missing or damaged and what to do.
    """
    if split not in get_args(Split):
        raise DatasetError(f"split: got {split!r}, need train, test or all. Choose one of them.")
    if name == "mnist":
        return _load_mnist(split, folder)
    if folder is not None:
        raise DatasetError(
            f"{name}: got the folder {folder}, need none; it is for mnist. For one folder per class: folder:PATH."
        )
    if name == "digits":
        return _load_digits(split)
    if name == "strokes":
        return _load_strokes(split)
    if name.startswith(FOLDER_PREFIX):
        return _load_class_folders(name, split)
    if name.startswith(captures.PREFIX):
        place = name.removeprefix(captures.PREFIX)
        raise DatasetError(
            f"{name}: got frames that a board took, need pictures of ink here. Look at them: picodigits data review"
            f" {place}. evaluate and train take them: --data {name}"
        )
    raise DatasetError(
        f"dataset: got {name!r}, need digits, mnist or folder:PATH, or strokes. See picodigits data list."
    )


# --- scikit-learn's digits --------------------------------------------------------------------------------

_DIGITS_LICENCE = (
    "CC BY 4.0; E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998;"
    " the copy in scikit-learn"
)


def _load_digits(split: Split) -> Dataset:
    from sklearn.datasets import load_digits  # takes most of a second, so only where it is needed
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), 16 -> 255
    labels = bunch.target.astype(np.int64)
    if split != "all":
        halves = train_test_split(images, labels, test_size=0.4, shuffle=False)
        images, labels = halves[0::2] if split == "train" else halves[1::2]
    return Dataset("digits", images, labels, DIGITS, _DIGITS_LICENCE)


# --- synthetic writers ------------------------------------------------------------------------------------

_STROKES_LICENCE = "MIT; drawn by picodigits, no source but its own pen strokes"
# Samples and seed. Training on `writers.digits` directly: choose other seeds, so that the test stays held out.
STROKES: Mapping[str, tuple[int, int]] = {"train": (20_000, 990_001), "test": (2_000, 990_002)}


def _load_strokes(split: Split) -> Dataset:
    parts = [_strokes(part) for part in STROKES if split in (part, "all")]
    # A new array: what a caller does to it stays out of the next one's.
    images = np.concatenate([images for images, _ in parts])
    return Dataset("strokes", images, np.concatenate([labels for _, labels in parts]), DIGITS, _STROKES_LICENCE)


@cache
def _strokes(part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    samples, seed = STROKES[part]
    labels = np.arange(samples) % len(DIGITS)
    return written_digits(labels, seed=seed), labels


# --- MNIST ------------------------------------------------------------------------------------------------

_MNIST_LICENCE = "CC BY-SA 3.0; Y. LeCun, C. Cortes and C. Burges, The MNIST database, 1998"


class IdxFile(NamedTuple):
    """One official file: what it holds, and the SHA-256 of the IDX inside it, unpacked."""

    samples: int
    sha256: str


# The digests are of the unpacked IDX: the bytes of a .gz depend on the program that packed it, the data do
# not, and copies of MNIST packed differently are about. Source: computed from the official files; the same
# values are published with several independent copies.
MNIST_FILES: Mapping[str, IdxFile] = {
    "train-images-idx3-ubyte": IdxFile(60_000, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": IdxFile(60_000, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": IdxFile(10_000, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": IdxFile(10_000, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
_SPLIT_FILES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "train": (("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),),
    "test": (("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),),
}
_SPLIT_FILES = {**_SPLIT_FILES, "all": _SPLIT_FILES["train"] + _SPLIT_FILES["test"]}
_SUBFOLDERS = (".", "mnist", "MNIST/raw")  # ours, and torchvision's


def _load_mnist(split: Split, folder: str | Path | None) -> Dataset:
    place, _ = _mnist_place(folder)
    parts = []
    for images_name, labels_name in _SPLIT_FILES[split]:
        images_path, labels_path = _find(place, images_name), _find(place, labels_name)
        images, labels = _read_official(images_path, images_name), _read_official(labels_path, labels_name)
        parts.append(_pair(images_path, images, labels_path, labels, len(DIGITS)))
    images = np.concatenate([part[0] for part in parts]) if len(parts) > 1 else parts[0][0]
    labels64 = np.concatenate([part[1] for part in parts])
    return Dataset("mnist", images, labels64, DIGITS, _MNIST_LICENCE)


def cache_folder() -> Path:
    """Where downloaded datasets are kept: the user's cache folder of this system."""
    return platformdirs.user_cache_path("picodigits")


def _mnist_place(folder: str | Path | None) -> tuple[Path, str]:
    """The folder that has MNIST and how it was come by. Raises DatasetError where there is none.

    A folder that is named but does not exist is an error. PICODIGITS_DATA without any MNIST in it is passed
    over, because it may hold other datasets only.
    """
    if folder is not None:
        place = _existing(Path(folder), "the folder for mnist")
        return _subfolder(place) or place, "in the folder given"
    named = os.environ.get(DATA_VARIABLE)
    if named:
        place = _existing(Path(named), DATA_VARIABLE)
        if found := _subfolder(place):
            return found, f"in {DATA_VARIABLE}"
    cache = cache_folder() / "mnist"
    if _present(cache):
        return cache, "cached"
    looked = f"{DATA_VARIABLE} ({named}) and the cache ({cache})" if named else f"the cache ({cache})"
    raise DatasetError(
        f"mnist: got none of its files in {looked}, need {len(MNIST_FILES)} IDX files. Run {GET_MNIST},"
        f" or name the folder that has them with {DATA_VARIABLE}."
    )


def _existing(folder: Path, thing: str) -> Path:
    if not folder.is_dir():
        got = "a file" if folder.exists() else "no such folder"
        raise DatasetError(f"{thing}: got {got} at {folder}, need the folder with the IDX files. Check the path.")
    return folder


def _subfolder(folder: Path) -> Path | None:
    """`folder` or the usual subfolder of it that has MNIST files; None where there are none."""
    return next((folder / sub for sub in _SUBFOLDERS if _present(folder / sub)), None)


def _present(folder: Path) -> list[Path]:
    """The files in `folder` that have official names."""
    return [path for name in MNIST_FILES for path in _candidates(folder, name) if path.is_file()]


def _candidates(folder: Path, name: str) -> tuple[Path, ...]:
    dotted = name.replace("-idx", ".idx")  # as some unpackers name them
    return tuple(folder / file for file in (f"{name}.gz", name, f"{dotted}.gz", dotted))


def _find(folder: Path, name: str) -> Path:
    for path in _candidates(folder, name):
        if path.is_file():
            return path
    there = ", ".join(sorted(path.name for path in _present(folder))) or "none of MNIST's files"
    raise DatasetError(
        f"{folder / name}.gz: got no such file (there: {there}), need it packed or unpacked. Run {GET_MNIST},"
        " or copy the file there."
    )


def _read_official(path: Path, name: str) -> NDArray[np.uint8]:
    """The array in `path`, proven to be the official file `name`.

    Raises DatasetError, and tells a damaged file (gzip's own checksum, the folder's SHA256SUMS) from a
    different one (whole, but not this file of MNIST).
    """
    array, sha256 = _read_idx(path, "images" if "images" in name else "labels")
    official = MNIST_FILES[name]
    listed = _listed_sha256(path)
    on_disk = _file_sha256(path) if listed else None
    if sha256 == official.sha256:
        if listed != on_disk:
            raise DatasetError(
                f"{path}: got SHA-256 {on_disk}, need {listed} as its SHA256SUMS says. The data inside are"
                " the official ones: SHA256SUMS is for a copy packed otherwise; correct it or delete it."
            )
        return array
    need = f"{official.sha256} (unpacked) of the official {name}"
    for other, file in MNIST_FILES.items():
        if sha256 == file.sha256:
            raise DatasetError(f"{path}: got the data of {other}, need {name}. Rename the files.")
    if listed is not None and listed != on_disk:
        raise DatasetError(
            f"{path}: got a damaged file, SHA-256 {on_disk}, need {listed} as its SHA256SUMS says."
            f" Copy it again or run {GET_MNIST}."
        )
    if listed is not None:
        cause = "It is whole by its own SHA256SUMS, so it is a different dataset under MNIST's names"
    elif _is_gzip(path):
        cause = "It is whole by gzip's checksum, so it is a different dataset under MNIST's names"
    else:
        cause = "It is damaged, or a different dataset under MNIST's names"
    raise DatasetError(f"{path}: got SHA-256 {sha256} (unpacked), need {need}. {cause}: run {GET_MNIST}.")


def _listed_sha256(path: Path) -> str | None:
    """What SHA256SUMS in the same folder says about `path`; None where it says nothing."""
    sums = path.with_name("SHA256SUMS")
    if not sums.is_file():
        return None
    with _readable(sums):
        text = sums.read_text("utf-8", errors="replace")
    for line in text.splitlines():
        match = re.fullmatch(r"\\?([0-9a-fA-F]{64}) [ *](?:\./)?(.+)", line.strip())
        if match and match[2] == path.name:
            return match[1].lower()
    return None


def _file_sha256(path: Path) -> str:
    with _readable(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_gzip(path: Path) -> bool:
    with _readable(path), path.open("rb") as file:
        return file.read(2) == _GZIP_MAGIC


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{path}: got {error.strerror or error}, need a readable file. Check its permissions."
        ) from error


# --- IDX files --------------------------------------------------------------------------------------------

_GZIP_MAGIC = b"\x1f\x8b"
_IDX_TYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}
_IDX_NDIM = {"images": 3, "labels": 1}
MAX_IDX_BYTES = 1 << 30  # MNIST's largest is 47 MB; a header that asks for more than this is broken
_CHUNK_BYTES = 1 << 20

IdxKind = Literal["images", "labels"]


def read_idx(path: str | Path, kind: IdxKind) -> NDArray[np.uint8]:
    """The array of an IDX file, packed with gzip or not (told by its content, not its name).

    images -> (N, H, W) uint8, labels -> (N,) uint8. Raises DatasetError for a missing, truncated, damaged or
    overlong file, for other types than unsigned byte, and for labels where images belong.
    Format: 0, 0, type, number of dimensions; each dimension as big-endian uint32; the values, row by row.
    """
    return _read_idx(Path(path), kind)[0]


def read_idx_pair(
    images_path: str | Path, labels_path: str | Path, classes: int = 10
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, H, W) uint8 and their labels (N,) int64, 0..classes-1, from two IDX files.

    Raises DatasetError as `read_idx` does, and for unequal counts and labels out of range.
    """
    images_path, labels_path = Path(images_path), Path(labels_path)
    images, labels = read_idx(images_path, "images"), read_idx(labels_path, "labels")
    return _pair(images_path, images, labels_path, labels, classes)


def _pair(
    images_path: Path, images: NDArray[np.uint8], labels_path: Path, labels: NDArray[np.uint8], classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if len(images) != len(labels):
        raise DatasetError(
            f"{labels_path}: got {len(labels)} labels, need {len(images)} as there are images in"
            f" {images_path.name}. The two files are of different splits: take both from one."
        )
    if int(labels.max()) >= classes:
        where = int((labels >= classes).argmax())
        raise DatasetError(
            f"{labels_path}: got label {int(labels[where])} at {where}, need 0 to {classes - 1}."
            " The file is damaged, or holds other classes."
        )
    return images, labels.astype(np.int64)


def _read_idx(path: Path, kind: IdxKind) -> tuple[NDArray[np.uint8], str]:
    """The array, and the SHA-256 of the unpacked file."""
    if not path.is_file():
        got = "a folder" if path.is_dir() else "no such file"
        raise DatasetError(f"{path}: got {got}, need an IDX file of {kind}. Check the path, or run {GET_MNIST}.")
    with _readable(path):
        size = path.stat().st_size
        if size > MAX_IDX_BYTES:
            raise DatasetError(f"{path}: got {size} bytes, need at most {MAX_IDX_BYTES}. Check the path.")
        data = path.read_bytes()
    return _parse_idx(data, str(path), kind)


def _parse_idx(data: bytes, thing: str, kind: IdxKind) -> tuple[NDArray[np.uint8], str]:
    """As `_read_idx`, from the file's bytes; `thing` names it in errors."""
    packed = data[:2] == _GZIP_MAGIC
    again = f"The copy or download broke off: run {GET_MNIST}."
    stream = gzip.GzipFile(fileobj=io.BytesIO(data)) if packed else io.BytesIO(data)
    content = bytearray()

    def read(count: int) -> bytes:
        """Up to `count` more bytes, also kept in `content`; never more memory than the file can fill."""
        start = len(content)
        while (missing := start + count - len(content)) > 0:
            chunk = stream.read(min(missing, _CHUNK_BYTES))
            if not chunk:
                break
            content.extend(chunk)
        return bytes(content[start : start + 64])

    try:
        head = read(4)
        if len(head) < 4:
            raise DatasetError(f"{thing}: got {len(head)} bytes, need an IDX file of {kind}. {again}")
        if head[:2] != b"\0\0" or head[2] not in _IDX_TYPES:
            raise DatasetError(
                f"{thing}: got magic {head.hex()}, need {0x0800 + _IDX_NDIM[kind]:08x} (IDX, {kind})."
                f" This is not an IDX file: run {GET_MNIST}."
            )
        if head[2] != 8:
            raise DatasetError(f"{thing}: got IDX values of type {_IDX_TYPES[head[2]]}, need uint8. Convert the file.")
        ndim = head[3]
        if ndim != _IDX_NDIM[kind]:
            held = {3: "images", 1: "labels"}.get(ndim)
            raise DatasetError(
                f"{thing}: got IDX {'of ' + held if held else 'values'} ({ndim} dimensions), need {kind}"
                f" ({_IDX_NDIM[kind]}). "
                + ("Images and labels are swapped: rename the two files." if held else f"Run {GET_MNIST}.")
            )
        dims = read(4 * ndim)
        if len(dims) < 4 * ndim:
            raise DatasetError(f"{thing}: got {len(content)} bytes, need {4 + 4 * ndim} of header. {again}")
        shape = tuple(int.from_bytes(dims[i : i + 4], "big") for i in range(0, 4 * ndim, 4))
        need = 1
        for length in shape:
            need *= length
        if not 0 < need <= MAX_IDX_BYTES:
            raise DatasetError(
                f"{thing}: got a header for {shape} values, need 1 to {MAX_IDX_BYTES}."
                f" The file is empty or damaged: run {GET_MNIST}."
            )
        read(need + 1)  # one more than there should be: finds trailing bytes, and lets gzip check its checksum
    except EOFError as error:
        raise DatasetError(
            f"{thing}: got a gzip file of {len(data)} bytes that breaks off, need the whole of it. {again}"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(
            f"{thing}: got a damaged gzip file ({' '.join(str(error).split())}), need a whole one."
            f" Copy it again or run {GET_MNIST}."
        ) from error
    header = 4 + 4 * len(shape)
    got = len(content) - header
    if got < need:
        raise DatasetError(f"{thing}: got {got} values, need {need} for {shape}. {again}")
    if got > need:
        raise DatasetError(
            f"{thing}: got bytes behind the last value, need {need} values for {shape}."
            f" The file is damaged or was appended to: run {GET_MNIST}."
        )
    array = np.frombuffer(content, np.uint8, offset=header).reshape(shape)
    return array, hashlib.sha256(content).hexdigest()


# --- downloading ------------------------------------------------------------------------------------------

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",  # torchvision's
    "https://storage.googleapis.com/cvdf-datasets/mnist/",  # TensorFlow Datasets'
)
TIMEOUT_S = 30.0  # without a byte, before the next mirror is tried
MAX_DOWNLOAD_BYTES = 64 << 20  # per file; MNIST's largest is 9.9 MB packed, 47 MB unpacked on the way
_STALE_S = 24 * 3600  # parts older than this are of downloads that were killed

Progress = Callable[[str, int, int], None]  # file name, bytes so far, bytes in all (0: not known)


def download_mnist(
    progress: Progress | None = None,
    folder: str | Path | None = None,
    mirrors: Sequence[str] = MIRRORS,
    timeout_s: float = TIMEOUT_S,
) -> Path:
    """Get what is missing of MNIST into `folder` (default: the cache); returns the folder.

    A file that is there and right is left alone. Each other one is taken from the first mirror that delivers
    it whole: into a part file beside it, checked (SHA-256 of the data), then put in place in one step. A
    transfer that breaks off, stalls or delivers something else leaves nothing behind, and starts anew at the
    next mirror. `progress` is called as bytes arrive.

    Raises DatasetError with each mirror's answer when none delivers; what was got until then stays.
    """
    place = Path(folder) if folder is not None else cache_folder() / "mnist"
    try:
        place.mkdir(parents=True, exist_ok=True)
        for part in place.glob(".*.part"):
            if time.time() - part.stat().st_mtime > _STALE_S:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(
            f"{place}: got {error.strerror or error}, need a folder that can be written. Choose another."
        ) from error
    for name in MNIST_FILES:
        path = place / f"{name}.gz"
        if path.is_file() and _is_right(path, name):
            continue
        _download(path, name, progress, mirrors, timeout_s)
    return place


def _is_right(path: Path, name: str) -> bool:
    try:
        return _read_idx(path, "images" if "images" in name else "labels")[1] == MNIST_FILES[name].sha256
    except DatasetError:
        return False


def _download(path: Path, name: str, progress: Progress | None, mirrors: Sequence[str], timeout_s: float) -> None:
    from pooch import HTTPDownloader  # with requests takes a third of a second

    answers = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{path.name}"

        def fetch(part: Path, url: str = url) -> None:
            meter = _Meter(path.name, progress)
            headers = {"Accept-Encoding": "identity"}  # the .gz as it is, not unpacked on the way
            get = HTTPDownloader(progressbar=meter, timeout=timeout_s, headers=headers)
            with part.open("xb") as file:
                get(url, file, None)
            kind: IdxKind = "images" if "images" in name else "labels"
            _, sha256 = _parse_idx(part.read_bytes(), path.name, kind)
            if sha256 != MNIST_FILES[name].sha256:
                raise DatasetError(f"data with SHA-256 {sha256[:12]}..., not {MNIST_FILES[name].sha256[:12]}...")

        try:
            replace_atomically(path, fetch)
        except (OSError, ValueError, DatasetError) as error:  # requests' errors are OSErrors
            answers.append(f"{mirror}: {_short(error)}")
        else:
            return
    raise DatasetError(
        f"{path.name}: got no whole copy ({'; '.join(answers) or 'no mirror named'}), need the official file."
        f" Check the network and run {GET_MNIST} again, or name a folder with the files: {DATA_VARIABLE}."
    )


# What is in requests' long messages, and what it comes to.
_TRANSFER_FAILURES = (
    ("timed out", "no answer in time"),
    ("resolve", "name not found: no network?"),
    ("refused", "connection refused"),
    ("IncompleteRead", "broke off"),
    ("Connection broken", "broke off"),
)


def _short(error: BaseException) -> str:
    """Why a transfer failed, in a few words."""
    line = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, DatasetError):
        return line.split(", need ")[0]
    for sign, meaning in _TRANSFER_FAILURES:
        if sign in line:
            return meaning
    return line if len(line) <= 100 else line[:97] + "..."


class _Meter:
    """What pooch takes for a progress bar: passes bytes on, and stops a transfer without end."""

    def __init__(self, name: str, progress: Progress | None) -> None:
        self.name, self.progress = name, progress
        self.total = 0  # pooch sets it: Content-Length, or 0
        self.done = 0

    def update(self, count: int) -> None:
        self.done += count
        if self.done > MAX_DOWNLOAD_BYTES:
            raise DatasetError(f"more than {MAX_DOWNLOAD_BYTES} bytes")
        if self.progress:
            self.progress(self.name, min(self.done, self.total) if self.total else self.done, self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


# --- class folders ----------------------------------------------------------------------------------------


def to_ink(image: Image.Image, side: int = FOLDER_SIDE) -> NDArray[np.uint8]:
    """(side, side) uint8 ink, 0 = paper, 255 = full ink, of a picture of any size and polarity.

    Paper is the median of the picture's border. Where that is 128 or lighter the ink is what is darker, else
    what is lighter; the strongest ink becomes 255. Less contrast than MIN_CONTRAST is blank paper. Then the
    picture is fitted into the square, centred, by averaging.
    """
    grey = np.asarray(image.convert("L"), np.int64)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = int(np.median(border))
    ink = (paper - grey if paper >= 128 else grey - paper).clip(0)
    strongest = int(ink.max())
    if strongest < MIN_CONTRAST:
        return np.zeros((side, side), np.uint8)
    full = Image.fromarray(((ink * 255 + strongest // 2) // strongest).astype(np.uint8))  # <= 255 * 255 + 127
    scale = side / max(full.size)
    width, height = (max(1, round(length * scale)) for length in full.size)
    method = Image.Resampling.BOX if scale <= 1 else Image.Resampling.BILINEAR
    square = Image.new("L", (side, side), 0)
    square.paste(full.resize((width, height), method), ((side - width) // 2, (side - height) // 2))
    return np.asarray(square, np.uint8).copy()


def _load_class_folders(name: str, split: Split) -> Dataset:
    root = Path(name.removeprefix(FOLDER_PREFIX))
    if not root.is_dir():
        got = "a file" if root.is_file() else "no such folder"
        raise DatasetError(f"{name}: got {got}, need a folder with one folder per class. Check the path.")
    if captures.is_folder(root):
        raise DatasetError(f"{name}: got captures, need a folder of pictures. Name it {captures.PREFIX}{root}")
    with _readable(root):
        chosen, class_names = _choose(root, split)
    images, labels = [], []
    for label, files in enumerate(chosen):
        for file in files:
            try:
                images.append(to_ink(open_image(file)))
            except FrameError as error:
                raise DatasetError(str(error)) from error
            labels.append(label)
    if not images:
        raise DatasetError(
            f"{name}: got no pictures for {split}, need at least {TEST_EVERY} in a class (every"
            f" {TEST_EVERY}th is for the test). Add pictures, or use the split all."
        )
    return Dataset(name, np.stack(images), np.array(labels, np.int64), class_names, f"yours: {root}")


def _choose(root: Path, split: Split) -> tuple[list[list[Path]], tuple[str, ...]]:
    """The pictures of each class that belong to `split`, and the classes' names."""
    halves = [root / "train", root / "test"]
    given = all(half.is_dir() and _folders(half) for half in halves)
    roots = halves if given else [root]
    classes = sorted({folder.name for half in roots for folder in _folders(half)}, key=natural_key)
    if not classes:
        raise DatasetError(
            f"{root}: got {len(_pictures(root))} pictures and no folders, need one folder per class,"
            f" for example {root / '7'}. Sort the pictures into folders."
        )
    chosen = []
    for name in classes:
        by_half = [_pictures(half / name) if (half / name).is_dir() else [] for half in roots]
        if not any(by_half):
            raise DatasetError(
                f"{root / name}: got no pictures, need at least one ({', '.join(IMAGE_SUFFIXES)})."
                " Add some, or remove the folder."
            )
        if not given:
            everything = by_half[0]
            test = everything[TEST_EVERY - 1 :: TEST_EVERY]
            train = [file for i, file in enumerate(everything) if i % TEST_EVERY != TEST_EVERY - 1]
            by_half = [train, test]
        chosen.append({"train": by_half[0], "test": by_half[1], "all": by_half[0] + by_half[1]}[split])
    return chosen, tuple(classes)


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def _pictures(folder: Path) -> list[Path]:
    files = [
        entry
        for entry in folder.iterdir()
        if entry.is_file() and entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".")
    ]
    return sorted(files, key=lambda file: natural_key(file.name))


# --- list, check, show ------------------------------------------------------------------------------------


class Available(NamedTuple):
    """One line of `picodigits data list`; state is bundled, cached, in PICODIGITS_DATA, incomplete, ..."""

    name: str
    samples: int  # train and test together
    size: str  # "28x28"
    state: str
    where: str
    licence: str


def available() -> list[Available]:
    """The datasets that have a name, and where each is; looks for files but does not read them."""
    samples = sum(file.samples for name, file in MNIST_FILES.items() if "labels" in name)
    try:
        place, state = _mnist_place(None)
        missing = [name for name in MNIST_FILES if not any(p.is_file() for p in _candidates(place, name))]
        if missing:
            state = f"incomplete: {len(MNIST_FILES) - len(missing)} of {len(MNIST_FILES)} files {state}"
        where = str(place)
    except DatasetError:
        named = os.environ.get(DATA_VARIABLE)
        lost = bool(named) and not Path(str(named)).is_dir()
        state = f"{DATA_VARIABLE} names no folder" if lost else "not downloaded"
        where = str(named) if lost else GET_MNIST
    return [
        Available("digits", 1797, "8x8", "bundled", "scikit-learn", _DIGITS_LICENCE),
        Available("mnist", samples, "28x28", state, where, _MNIST_LICENCE),
        Available("strokes", sum(n for n, _ in STROKES.values()), "64x64", "drawn", "picodigits", _STROKES_LICENCE),
    ]


class Finding(NamedTuple):
    """One thing that `check` looked at."""

    thing: str
    ok: bool
    text: str


def check(name: str, folder: str | Path | None = None) -> list[Finding]:
    """What is right and wrong with a dataset: files and checksums, counts, samples per class, blank pictures.

    Reads everything. Damage is a finding with ok=False, not an exception. Raises DatasetError only when the
    dataset as such is unknown or can't be found.
    """
    findings: list[Finding] = []
    if name.startswith(captures.PREFIX):
        return _check_captures(Path(name.removeprefix(captures.PREFIX)))
    if name == "mnist":
        place, state = _mnist_place(folder)
        findings.append(Finding("folder", True, f"{place} ({state})"))
        for file_name in MNIST_FILES:
            try:
                path = _find(place, file_name)
                _read_official(path, file_name)
                summed = " and SHA256SUMS" if _listed_sha256(path) else ""
                findings.append(Finding(path.name, True, f"SHA-256 of the data{summed} right"))
            except DatasetError as error:
                findings.append(Finding(file_name, False, str(error)))
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        try:
            dataset = load(name, split, folder)
        except DatasetError as error:
            if name not in ("digits", "mnist", "strokes") and not Path(name.removeprefix(FOLDER_PREFIX)).is_dir():
                raise
            if not any(finding.text == str(error) for finding in findings):
                findings.append(Finding(split, False, str(error)))
            continue
        height, width = dataset.images.shape[1:]
        per_class = ", ".join(f"{c}: {n}" for c, n in zip(dataset.class_names, dataset.counts, strict=True))
        findings.append(Finding(split, True, f"{len(dataset)} pictures of {width}x{height}"))
        empty = [c for c, n in zip(dataset.class_names, dataset.counts, strict=True) if not n]
        needs = f"; none of {', '.join(empty)}" if empty else ""
        findings.append(Finding(f"{split}, per class", not empty, per_class + needs))
        blank = int((~dataset.images.any(axis=(1, 2))).sum())
        findings.append(Finding(f"{split}, blank", blank == 0, f"{blank} pictures without ink"))
    return findings


def _check_captures(folder: Path) -> list[Finding]:
    found = captures.load(folder)
    people, sittings = sorted(set(found.writers)), set(zip(found.writers, found.sessions, strict=True))
    counts = {label: found.labels.count(label) for label in dict.fromkeys(found.labels)}
    return [
        Finding("captures", True, f"{len(found)} by {', '.join(people)}; sittings: {len(sittings)}"),
        Finding("per label", True, ", ".join(f"{label}: {count}" for label, count in counts.items())),
        Finding("set aside", True, f"{len(captures.load(folder, set_aside=True))}"),
        *(Finding("damaged", False, text) for text in found.damaged),
    ]


_TILE = 56  # pixels: MNIST doubled, digits seven times
_GAP = 4
_PAPER, _INK, _FADED = (255, 255, 255), (20, 20, 20), (110, 110, 110)


def contact_sheet(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    class_names: Sequence[str] | None = None,
    per_class: int = 10,
    title: str = "",
) -> Image.Image:
    """A picture of samples, dark ink on white paper: a row per class, with its name and number of samples.

    images (N, H, W) uint8 ink, labels (N,) 0.., at most `per_class` of each class, the first ones.
    Raises DatasetError for shapes that do not fit.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.ndim != 3 or images.dtype != np.uint8 or 0 in images.shape or labels.shape != images.shape[:1]:
        raise DatasetError(
            f"contact sheet: got images {images.shape} {images.dtype} and labels {labels.shape}, need"
            " (N, H, W) uint8 and (N,), N at least 1. Check the dataset."
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0:
        raise DatasetError(f"contact sheet: got labels {labels.dtype} from {labels.min()}, need integers from 0.")
    if per_class < 1:
        raise DatasetError(f"contact sheet: got {per_class} per class, need at least 1. Ask for 10.")
    names = tuple(class_names) if class_names is not None else tuple(map(str, range(int(labels.max()) + 1)))
    if int(labels.max()) >= len(names):
        raise DatasetError(
            f"contact sheet: got label {int(labels.max())}, need 0 to {len(names) - 1} as there are names."
        )
    large, small = ImageFont.load_default(20), ImageFont.load_default(12)
    height, width = images.shape[1:]
    zoom = max(1, _TILE // max(height, width))
    tile_w, tile_h = width * zoom, height * zoom
    shown = [_shorten(name) for name in names]
    rows = [np.flatnonzero(labels == label) for label in range(len(names))]
    columns = min(per_class, max(len(row) for row in rows))
    left = _GAP * 3 + int(max(*(large.getlength(t) for t in shown), small.getlength("00 000"), 1))
    top = 34 if title else _GAP
    row_h = max(tile_h, 44) + _GAP
    sheet_w = max(left + columns * (tile_w + _GAP) + _GAP, int(large.getlength(title)) + 3 * _GAP)
    sheet = Image.new("RGB", (sheet_w, top + len(rows) * row_h), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), title, _INK, large)
    for index, (name, row) in enumerate(zip(shown, rows, strict=True)):
        y = top + index * row_h
        draw.text((_GAP, y), name, _INK, large)
        draw.text((_GAP, y + 26), f"{len(row):,}".replace(",", " "), _FADED, small)
        for column, sample in enumerate(row[:per_class]):
            paper_high = Image.fromarray(255 - images[sample]).resize((tile_w, tile_h), Image.Resampling.NEAREST)
            x = left + column * (tile_w + _GAP)
            sheet.paste(paper_high, (x, y))
            draw.rectangle((x - 1, y - 1, x + tile_w, y + tile_h), outline=(225, 225, 225))
    return sheet


def _shorten(name: str) -> str:
    return name if len(name) <= 16 else name[:15] + "..."
