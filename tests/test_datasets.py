"""Datasets: scikit-learn's digits, MNIST's IDX files, class folders; downloading, checking, showing."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from picodigits import datasets
from picodigits.errors import DatasetError

FAST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = tuple(datasets.MNIST_FILES)
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = NAMES


def idx(array: np.ndarray, code: int = 8) -> bytes:
    """The bytes of an IDX file."""
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def tiny_contents() -> dict[str, bytes]:
    """A small MNIST: four IDX files, unpacked, under the official names."""
    rng = np.random.default_rng(5)
    train, test = rng.integers(0, 256, (30, 6, 5), np.uint8), rng.integers(0, 256, (20, 6, 5), np.uint8)
    return {
        TRAIN_IMAGES: idx(train),
        TRAIN_LABELS: idx(np.arange(30, dtype=np.uint8) % 10),
        TEST_IMAGES: idx(test),
        TEST_LABELS: idx(np.arange(20, dtype=np.uint8) % 10),
    }


CONTENTS = tiny_contents()


@pytest.fixture(autouse=True)
def no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(datasets.DATA_VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(datasets, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture
def tiny_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the small MNIST, which is made the official one."""
    files = {
        name: datasets.IdxFile(30 if "train" in name else 20, hashlib.sha256(data).hexdigest())
        for name, data in CONTENTS.items()
    }
    monkeypatch.setattr(datasets, "MNIST_FILES", files)
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name, data in CONTENTS.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(data, mtime=0))
    return folder


@pytest.fixture(scope="module")
def official_mnist() -> Path:
    named = os.environ.get(datasets.DATA_VARIABLE)
    if not named:
        pytest.skip(f"{datasets.DATA_VARIABLE} is not set: it names the folder with the official MNIST files")
    return Path(named)


# --- the dataclass ---


def test_a_dataset_knows_its_length_and_counts() -> None:
    dataset = datasets.Dataset("d", np.zeros((3, 4, 5), np.uint8), np.array([1, 1, 0]), ("a", "b", "c"), "mine")
    assert len(dataset) == 3
    assert dataset.counts.tolist() == [1, 2, 0]
    assert dataset.take([2, 0]).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("images", "labels", "names", "message"),
    [
        (np.zeros((3, 4, 5)), np.zeros(3, np.int64), "ab", r"got images \(3, 4, 5\) float64, need \(N, H, W\)"),
        (np.zeros((3, 20), np.uint8), np.zeros(3, np.int64), "ab", "got images"),
        (np.zeros((0, 4, 5), np.uint8), np.zeros(0, np.int64), "ab", "got images"),
        (np.zeros((3, 4, 5), np.uint8), np.zeros(2, np.int64), "ab", r"got labels \(2,\) int64, need \(3,\)"),
        (np.zeros((3, 4, 5), np.uint8), np.zeros(3, np.uint8), "ab", "got labels"),
        (np.zeros((3, 4, 5), np.uint8), np.array([0, 1, 2]), "ab", "got labels 0 to 2, need 0 to 1"),
        (np.zeros((3, 4, 5), np.uint8), np.array([0, -1, 1]), "ab", "got labels -1 to 1"),
        (np.zeros((3, 4, 5), np.uint8), np.zeros(3, np.int64), "aa", "need different ones"),
    ],
)
def test_a_dataset_whose_parts_do_not_fit_is_refused(
    images: np.ndarray, labels: np.ndarray, names: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        datasets.Dataset("d", images, labels, tuple(names), "mine")


# --- digits ---


def test_digits_are_split_as_in_the_article_and_scaled_to_full_ink() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    train, test, everything = (datasets.load("digits", split) for split in ("train", "test", "all"))
    assert (len(train), len(test), len(everything)) == (1078, 719, 1797)
    reference = [[round(int(v) * 255 / 16) for v in row] for row in bunch.data]
    assert everything.images.reshape(1797, 64).tolist() == reference
    assert np.array_equal(np.concatenate([train.images, test.images]), everything.images)
    assert np.array_equal(np.concatenate([train.labels, test.labels]), bunch.target)
    assert (everything.images.min(), everything.images.max()) == (0, 255)
    assert everything.class_names == tuple("0123456789")


def test_unknown_names_splits_and_stray_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"^dataset: got 'fashion', need digits, mnist or folder:PATH, or strokes\. See"
    ):
        datasets.load("fashion")
    with pytest.raises(DatasetError, match=r"^split: got 'val', need train, test or all"):
        datasets.load("digits", "val")  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match=r"^digits: got the folder .*, need none"):
        datasets.load("digits", folder=tmp_path)


# --- IDX files ---


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
def test_idx_files_are_read_packed_or_not_whatever_they_are_called(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    images, labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.array([9, 0], np.uint8)
    (tmp_path / "i.any").write_bytes(pack(idx(images)))
    (tmp_path / "l.gz").write_bytes(pack(idx(labels)))
    got_images, got_labels = datasets.read_idx_pair(tmp_path / "i.any", tmp_path / "l.gz")
    assert np.array_equal(got_images, images)
    assert got_labels.tolist() == [9, 0]
    assert (got_images.dtype, got_labels.dtype) == (np.uint8, np.int64)
    got_images[0, 0, 0] = 1  # belongs to the caller


ONE_IMAGE = idx(np.ones((1, 2, 2), np.uint8))
PACKED_IMAGE = gzip.compress(ONE_IMAGE, mtime=0)  # the time would be in the names of tests, of each worker another


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "got 0 bytes, need an IDX file of images"),
        (b"\0\0\x08", "got 3 bytes, need an IDX file of images"),
        (b"<htm", "got magic 3c68746d, need 00000803"),
        (b"\0\0\x0a\x03", "got magic 00000a03, need 00000803"),
        (b"\0\0\x08\x03" + bytes(11), "got 15 bytes, need 16 of header"),
        (idx(np.zeros((1, 2, 2), np.float32), 13), "got IDX values of type float32, need uint8"),
        (idx(np.zeros(3, np.uint8)), r"got IDX of labels \(1 dimensions\), need images \(3\)\. Images and labels"),
        (idx(np.zeros((3, 3), np.uint8)), r"got IDX values \(2 dimensions\), need images"),
        (b"\0\0\x08\xff" + bytes(1020), r"got IDX values \(255 dimensions\)"),
        (idx(np.zeros((0, 2, 2), np.uint8)), r"got a header for \(0, 2, 2\) values"),
        (b"\0\0\x08\x03" + b"\xff" * 12, r"got a header for \(4294967295, 4294967295, 4294967295\) values"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 1 << 16, 64, 256), r"got 0 values, need 1073741824"),
        (ONE_IMAGE[:-1], r"got 3 values, need 4 for \(1, 2, 2\)"),
        (ONE_IMAGE + b"\0", "got bytes behind the last value, need 4 values"),
        (PACKED_IMAGE[:-1], "got a gzip file of .* bytes that breaks off"),
        (PACKED_IMAGE[:12], "that breaks off"),
        (PACKED_IMAGE[:-6] + b"\0\0" + PACKED_IMAGE[-4:], "got a damaged gzip file"),
        (PACKED_IMAGE + b"garbage", "got a damaged gzip file"),
        (gzip.compress(ONE_IMAGE + b"\0", mtime=0), "got bytes behind the last value"),
        (gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 1, 1, 9), mtime=0), "got 0 values, need 9"),
    ],
)
def test_a_broken_idx_file_is_an_error_that_says_how(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "i"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=message) as caught:
        datasets.read_idx(path, "images")
    assert str(caught.value).startswith(f"{path}: got ")
    assert ", need " in str(caught.value)


def test_a_gzip_bomb_is_not_unpacked_further_than_its_header_says(tmp_path: Path) -> None:
    (tmp_path / "i").write_bytes(gzip.compress(ONE_IMAGE + bytes(50_000_000), 1))
    tracemalloc.start()
    with pytest.raises(DatasetError, match="got bytes behind the last value"):
        datasets.read_idx(tmp_path / "i", "images")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 5_000_000


def test_counts_that_differ_and_labels_out_of_range_are_errors(tmp_path: Path) -> None:
    (tmp_path / "i").write_bytes(idx(np.ones((2, 2, 2), np.uint8)))
    (tmp_path / "l").write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(DatasetError, match="got 3 labels, need 2 as there are images in i"):
        datasets.read_idx_pair(tmp_path / "i", tmp_path / "l")
    (tmp_path / "l").write_bytes(idx(np.array([9, 10], np.uint8)))
    with pytest.raises(DatasetError, match="got label 10 at 1, need 0 to 9"):
        datasets.read_idx_pair(tmp_path / "i", tmp_path / "l")


def test_a_missing_idx_file_or_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="got no such file, need an IDX file of images"):
        datasets.read_idx(tmp_path / "i", "images")
    with pytest.raises(DatasetError, match="got a folder, need an IDX file"):
        datasets.read_idx(tmp_path, "images")


@FAST
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)),
    packed=st.booleans(),
    cut=st.integers(0, 40),
    tail=st.binary(max_size=5),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 7)), max_size=3),
)
def test_any_damage_loads_what_the_bytes_say_or_raises(
    tmp_path: Path, shape: tuple[int, ...], packed: bool, cut: int, tail: bytes, flips: list[tuple[int, int]]
) -> None:
    original = idx(np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8))
    data = bytearray(gzip.compress(original, mtime=0) if packed else original)
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    data = data[: max(0, len(data) - cut)] if cut < 20 else data
    data += tail
    path = tmp_path / "i"
    path.write_bytes(data)
    try:
        loaded = datasets.read_idx(path, "images")
    except DatasetError as error:
        text = str(error)
    else:
        # Packed, gzip's checksum leaves only the original. Unpacked, the bytes are all there is to go by.
        assert idx(loaded) == (original if packed and data[:2] == b"\x1f\x8b" else bytes(data))
        return
    assert text.startswith(f"{path}: got ")
    assert "\n" not in text


# --- MNIST from a folder ---


def test_mnist_comes_from_the_folder_else_the_variable_else_the_cache(
    tiny_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DatasetError, match=r"^mnist: got none of its files in the cache .* Run picodigits data get"):
        datasets.load("mnist")
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(tmp_path / "cache"))
    with pytest.raises(DatasetError, match=r"in PICODIGITS_DATA \(.*\) and the cache"):
        datasets.load("mnist")
    assert len(datasets.load("mnist", "test", tiny_mnist)) == 20
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(tiny_mnist))
    assert len(datasets.load("mnist")) == 30
    assert len(datasets.load("mnist", "all")) == 50
    monkeypatch.delenv(datasets.DATA_VARIABLE)
    tiny_mnist.rename(tmp_path / "cache" / "mnist")
    assert len(datasets.load("mnist", "test")) == 20
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"^PICODIGITS_DATA: got no such folder at .*nowhere"):
        datasets.load("mnist")


@pytest.mark.parametrize("layout", ["mnist", "MNIST/raw"])
def test_the_usual_subfolders_and_unpacked_files_are_found(tiny_mnist: Path, tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "data" / layout
    folder.mkdir(parents=True)
    for name, data in CONTENTS.items():
        (folder / (name.replace("-idx", ".idx") if "labels" in name else name)).write_bytes(data)
    loaded = datasets.load("mnist", "all", tmp_path / "data")
    assert loaded.images[30:].tobytes() == CONTENTS[TEST_IMAGES][16:]
    assert loaded.labels.tolist() == [i % 10 for i in range(30)] + [i % 10 for i in range(20)]


def test_a_missing_file_is_named_with_what_is_there(tiny_mnist: Path) -> None:
    (tiny_mnist / f"{TEST_LABELS}.gz").unlink()
    with pytest.raises(DatasetError, match=rf"{TEST_LABELS}\.gz: got no such file \(there: t10k-images-idx3-ub"):
        datasets.load("mnist", "test", tiny_mnist)
    with pytest.raises(DatasetError, match="the folder for mnist: got a file at"):
        datasets.load("mnist", "test", tiny_mnist / f"{TEST_IMAGES}.gz")


def test_swapped_images_and_labels_are_recognised(tiny_mnist: Path) -> None:
    a, b, c = (tiny_mnist / f for f in (f"{TEST_IMAGES}.gz", f"{TEST_LABELS}.gz", "c"))
    a.rename(c), b.rename(a), c.rename(b)
    with pytest.raises(DatasetError, match=r"images-idx3-ubyte\.gz: got IDX of labels .* are swapped: rename"):
        datasets.load("mnist", "test", tiny_mnist)


def test_a_file_of_the_other_split_is_recognised(tiny_mnist: Path) -> None:
    (tiny_mnist / f"{TEST_IMAGES}.gz").write_bytes(gzip.compress(CONTENTS[TRAIN_IMAGES]))
    with pytest.raises(DatasetError, match=f"got the data of {TRAIN_IMAGES}, need {TEST_IMAGES}. Rename"):
        datasets.load("mnist", "test", tiny_mnist)


def test_a_different_dataset_is_told_from_a_damaged_file(tiny_mnist: Path) -> None:
    other = bytearray(CONTENTS[TEST_IMAGES])
    other[20] ^= 1
    packed, plain = tiny_mnist / f"{TEST_IMAGES}.gz", tiny_mnist / TEST_IMAGES
    packed.write_bytes(gzip.compress(other))
    with pytest.raises(DatasetError, match=r"got SHA-256 \w{64} .* whole by gzip's checksum, so it is a different"):
        datasets.load("mnist", "test", tiny_mnist)
    damaged = bytearray(gzip.compress(other))
    damaged[-6] ^= 1
    packed.write_bytes(damaged)
    with pytest.raises(DatasetError, match="got a damaged gzip file"):
        datasets.load("mnist", "test", tiny_mnist)
    packed.unlink()
    plain.write_bytes(other)
    with pytest.raises(DatasetError, match="It is damaged, or a different dataset under MNIST's names"):
        datasets.load("mnist", "test", tiny_mnist)


def test_a_sha256sums_in_the_folder_must_agree(tiny_mnist: Path) -> None:
    packed, sums = tiny_mnist / f"{TEST_IMAGES}.gz", tiny_mnist / "SHA256SUMS"

    def listed() -> None:
        sums.write_text(f"# sums\n{hashlib.sha256(packed.read_bytes()).hexdigest()} *./{packed.name}\n")

    listed()
    assert len(datasets.load("mnist", "test", tiny_mnist)) == 20
    packed.write_bytes(gzip.compress(CONTENTS[TEST_IMAGES], 1, mtime=7))
    with pytest.raises(DatasetError, match=r"t10k-images.*The data inside are the official ones: SHA256SUMS"):
        datasets.load("mnist", "test", tiny_mnist)
    packed.write_bytes(gzip.compress(CONTENTS[TEST_IMAGES][:-1] + b"\0"))
    with pytest.raises(DatasetError, match=r"t10k-images.*got a damaged file, SHA-256 \w{64}, need \w{64} as its"):
        datasets.load("mnist", "test", tiny_mnist)
    listed()
    with pytest.raises(DatasetError, match="whole by its own SHA256SUMS, so it is a different dataset"):
        datasets.load("mnist", "test", tiny_mnist)


@pytest.mark.mnist
def test_the_official_files_have_the_official_counts(
    official_mnist: Path,
) -> None:
    train, test = (datasets.load("mnist", split, official_mnist) for split in ("train", "test"))
    assert train.images.shape == (60_000, 28, 28)
    assert train.counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test.counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert all(finding.ok for finding in datasets.check("mnist", official_mnist))


# --- downloading ---


class Mirror:
    """A web server on this machine. `replies[file]` is what to do: serve, or one way to fail."""

    def __init__(self) -> None:
        self.replies: dict[str, str] = {}
        self.asked: list[str] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/mnist/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.released = threading.Event()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = Path(request.path).name
        self.asked.append(name)
        data = gzip.compress(CONTENTS[name.removesuffix(".gz")], mtime=3)
        reply = self.replies.get(name, "serve")
        if reply == "404":
            request.send_error(404)
            return
        if reply == "corrupt":
            data = data[:20] + bytes([data[20] ^ 4]) + data[21:]
        if reply == "html":
            data = b"<html>Please sign in to the hotel's network</html>"
        if reply == "other":
            data = gzip.compress(idx(np.ones((30, 6, 5) if "images" in name else 30, np.uint8)))
        request.send_response(200)
        if reply != "cut unsaid":
            request.send_header("Content-Length", "rubbish" if reply == "rubbish" else str(len(data)))
        request.end_headers()
        if reply in ("cut", "cut unsaid", "stall"):
            data = data[: len(data) // 2]
        request.wfile.write(data)
        if reply == "stall":
            request.wfile.flush()
            self.released.wait(10)

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def mirrors() -> Iterator[tuple[Mirror, Mirror]]:
    pair = Mirror(), Mirror()
    yield pair
    for mirror in pair:
        mirror.close()


def test_a_download_ends_with_four_whole_files_in_the_cache(
    tiny_mnist: Path, tmp_path: Path, mirrors: tuple[Mirror, Mirror]
) -> None:
    seen: list[tuple[str, int, int]] = []
    folder = datasets.download_mnist(lambda *a: seen.append(a), mirrors=[m.url for m in mirrors], timeout_s=5)
    assert folder == tmp_path / "cache" / "mnist"
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.gz" for name in NAMES)
    assert len(datasets.load("mnist", "all")) == 50
    assert mirrors[0].asked == [f"{name}.gz" for name in NAMES]
    assert mirrors[1].asked == []
    for name, done, total in seen:
        assert 0 <= done <= total == (folder / name).stat().st_size
    assert {name for name, done, total in seen if done == total} == {f"{name}.gz" for name in NAMES}
    datasets.download_mnist(mirrors=[m.url for m in mirrors], timeout_s=5)
    assert len(mirrors[0].asked) == 4  # all there and right: nothing is asked for


@pytest.mark.parametrize("failure", ["404", "corrupt", "cut", "cut unsaid", "stall", "html", "other", "rubbish"])
def test_a_transfer_that_fails_starts_anew_at_the_next_mirror(
    tiny_mnist: Path, tmp_path: Path, mirrors: tuple[Mirror, Mirror], failure: str
) -> None:
    name = f"{TRAIN_LABELS}.gz"
    mirrors[0].replies[name] = failure
    folder = datasets.download_mnist(mirrors=[m.url for m in mirrors], timeout_s=0.3)
    assert mirrors[1].asked == [name]
    assert len(datasets.load("mnist", "all")) == 50
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        ("404", "404 Client Error"),
        ("corrupt", "got a damaged gzip file"),
        ("cut", "broke off"),
        ("cut unsaid", "breaks off"),
        ("stall", "no answer in time"),
        ("html", "got magic 3c68746d"),
        ("other", "data with SHA-256"),
    ],
)
def test_when_no_mirror_delivers_nothing_half_written_is_left(
    tiny_mnist: Path, mirrors: tuple[Mirror, Mirror], tmp_path: Path, failure: str, says: str
) -> None:
    name = f"{TRAIN_LABELS}.gz"
    for mirror in mirrors:
        mirror.replies[name] = failure
    with pytest.raises(DatasetError, match=rf"^{name}: got no whole copy \(.*({says}).*, need the official file"):
        datasets.download_mnist(mirrors=[m.url for m in mirrors], timeout_s=0.3)
    cache = tmp_path / "cache" / "mnist"
    assert [path.name for path in cache.iterdir()] == [f"{TRAIN_IMAGES}.gz"]
    for mirror in mirrors:
        mirror.replies.clear()
    datasets.download_mnist(mirrors=[m.url for m in mirrors], timeout_s=5)
    assert mirrors[0].asked.count(f"{TRAIN_IMAGES}.gz") == 1  # what was whole is not fetched again
    assert len(datasets.load("mnist", "all")) == 50


def test_a_damaged_file_in_the_cache_is_replaced_and_old_parts_are_removed(
    tiny_mnist: Path, tmp_path: Path, mirrors: tuple[Mirror, Mirror]
) -> None:
    damaged = tiny_mnist / f"{TEST_IMAGES}.gz"
    damaged.write_bytes(damaged.read_bytes()[:50])
    killed, running = tiny_mnist / ".x.gz.1.part", tiny_mnist / ".y.gz.2.part"
    killed.touch()
    running.touch()
    os.utime(killed, (0, 0))
    datasets.download_mnist(folder=tiny_mnist, mirrors=[mirrors[0].url], timeout_s=5)
    assert mirrors[0].asked == [damaged.name]
    assert len(datasets.load("mnist", "all", tiny_mnist)) == 50
    assert not killed.exists()
    assert running.exists()


def test_stopping_a_download_leaves_no_part(tiny_mnist: Path, tmp_path: Path, mirrors: tuple[Mirror, Mirror]) -> None:
    def stop(name: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        datasets.download_mnist(stop, mirrors=[mirrors[0].url], timeout_s=5)
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


def test_a_transfer_without_end_is_stopped(
    tiny_mnist: Path, mirrors: tuple[Mirror, Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "MAX_DOWNLOAD_BYTES", 10)
    with pytest.raises(DatasetError, match="more than 10 bytes"):
        datasets.download_mnist(mirrors=[mirrors[0].url], timeout_s=5)


def test_a_server_that_is_not_there_and_a_folder_that_can_not_be_made_are_errors(
    tiny_mnist: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        DatasetError, match=r"got no whole copy \(http://127.0.0.1:9/: connection refused\), .* Check the network"
    ):
        datasets.download_mnist(mirrors=["http://127.0.0.1:9/"], timeout_s=2)
    with pytest.raises(DatasetError, match=r"got no whole copy \(no mirror named\)"):
        datasets.download_mnist(mirrors=[])
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="need a folder that can be written"):
        datasets.download_mnist(folder=tmp_path / "file" / "mnist", mirrors=[])


# --- class folders ---


def draw_digit(path: Path, dark_on_light: bool, size: tuple[int, int] = (40, 30)) -> None:
    """A picture with an upright bar of ink, grey 30 on 220 or the other way round."""
    paper, ink = (220, 30) if dark_on_light else (30, 220)
    picture = Image.new("L", size, paper)
    picture.paste(ink, (size[0] // 2 - 2, size[1] // 4, size[0] // 2 + 2, size[1] * 3 // 4))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


@pytest.mark.parametrize("dark_on_light", [True, False])
def test_pictures_become_ink_whatever_their_polarity(tmp_path: Path, dark_on_light: bool) -> None:
    draw_digit(tmp_path / "a.png", dark_on_light, (56, 42))
    with Image.open(tmp_path / "a.png") as picture:
        ink = datasets.to_ink(picture)
    assert ink.shape == (28, 28)
    assert ink[14, 13] == ink[14, 14] == 255
    assert ink[14, 11] == ink[0, 0] == ink[2, 14] == ink[25, 14] == 0


def test_a_picture_without_contrast_is_blank_paper() -> None:
    grey = np.full((20, 20), 200, np.uint8)
    grey[8:12, 8:12] = 200 - datasets.MIN_CONTRAST + 1
    assert not datasets.to_ink(Image.fromarray(grey)).any()
    assert not datasets.to_ink(Image.new("L", (1, 1), 0)).any()


def test_full_ink_of_28x28_comes_back_as_it_was() -> None:
    ink = np.zeros((28, 28), np.uint8)
    ink[4:24, 4:24] = np.arange(400).reshape(20, 20) % 256
    assert np.array_equal(datasets.to_ink(Image.fromarray(ink)), ink)
    assert np.array_equal(datasets.to_ink(Image.fromarray(255 - ink)), ink)


def test_class_folders_are_classes_in_natural_order_and_every_fifth_is_for_the_test(tmp_path: Path) -> None:
    for name in ("10", "2", "seven"):
        for i in range(11):
            draw_digit(tmp_path / name / f"{i}.png", i % 2 == 0)
    (tmp_path / ".git").mkdir()
    (tmp_path / "2" / "notes.txt").touch()
    train, test, everything = (datasets.load(f"folder:{tmp_path}", s) for s in ("train", "test", "all"))
    assert train.class_names == ("2", "10", "seven")
    assert train.counts.tolist() == [9, 9, 9]
    assert test.counts.tolist() == [2, 2, 2]
    assert len(everything) == 33
    assert train.images.shape[1:] == (28, 28)
    assert (train.images.max(axis=(1, 2)) == 255).all()


def test_train_and_test_folders_are_taken_where_both_are_there(tmp_path: Path) -> None:
    draw_digit(tmp_path / "train" / "1" / "a.png", True)
    draw_digit(tmp_path / "train" / "3" / "a.jpg", True)
    draw_digit(tmp_path / "test" / "3" / "b.bmp", True)
    train, test = (datasets.load(f"folder:{tmp_path}", s) for s in ("train", "test"))
    assert train.class_names == test.class_names == ("1", "3")
    assert train.labels.tolist() == [0, 1]
    assert test.labels.tolist() == [1]


def test_class_folders_that_hold_nothing_to_learn_from_are_errors(tmp_path: Path) -> None:
    name = f"folder:{tmp_path}"
    with pytest.raises(DatasetError, match=r"got no such folder, need a folder with one folder per class"):
        datasets.load(f"{name}/nowhere")
    draw_digit(tmp_path / "a.png", True)
    with pytest.raises(DatasetError, match="got 1 pictures and no folders, need one folder per class"):
        datasets.load(name)
    draw_digit(tmp_path / "1" / "a.png", True)
    with pytest.raises(DatasetError, match="got no pictures for test, need at least 5 in a class"):
        datasets.load(name, "test")
    (tmp_path / "2").mkdir()
    with pytest.raises(DatasetError, match=r"2: got no pictures, need at least one \(\.png"):
        datasets.load(name)
    (tmp_path / "2" / "b.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(DatasetError, match=r"b\.png: got a damaged, truncated or foreign picture"):
        datasets.load(name)


# --- synthetic writers ---


@pytest.fixture
def few_strokes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The dataset strokes with its own seeds, and 60 and 20 pictures instead of thousands."""
    few = {"train": (60, datasets.STROKES["train"][1]), "test": (20, datasets.STROKES["test"][1])}
    monkeypatch.setattr(datasets, "STROKES", few)
    datasets._strokes.cache_clear()
    yield
    datasets._strokes.cache_clear()


def test_strokes_are_many_and_their_test_has_a_seed_of_its_own() -> None:
    assert {part: samples for part, (samples, _) in datasets.STROKES.items()} == {"train": 20_000, "test": 2_000}
    assert datasets.STROKES["train"][1] != datasets.STROKES["test"][1]


@pytest.mark.usefixtures("few_strokes")
def test_strokes_are_drawn_in_equal_classes_by_other_writers_for_the_test() -> None:
    train, test, both = (datasets.load("strokes", split) for split in ("train", "test", "all"))
    assert (train.images.shape, test.images.shape) == ((60, 64, 64), (20, 64, 64))
    assert np.array_equal(train.counts, [6] * 10)
    assert np.array_equal(test.counts, [2] * 10)
    assert np.array_equal(both.images, np.concatenate([train.images, test.images]))
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}


@pytest.mark.usefixtures("few_strokes")
def test_changing_the_strokes_that_were_loaded_leaves_the_next_load_alone() -> None:
    first = datasets.load("strokes")
    first.images[:] = 0
    assert datasets.load("strokes").images.any()


@pytest.mark.usefixtures("few_strokes")
def test_the_check_finds_nothing_wrong_with_strokes() -> None:
    findings = datasets.check("strokes")
    assert all(finding.ok for finding in findings)
    assert ("train, per class", True) in [finding[:2] for finding in findings]


def test_strokes_need_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="strokes: got the folder"):
        datasets.load("strokes", folder=tmp_path)


# --- list, check, show ---


def test_the_list_says_where_mnist_is(tiny_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> tuple[str, str]:
        digits, mnist, strokes = datasets.available()
        assert (strokes.samples, strokes.size, strokes.state) == (22_000, "64x64", "drawn")
        assert (digits.name, digits.samples, digits.size, digits.state) == ("digits", 1797, "8x8", "bundled")
        assert (mnist.name, mnist.samples, mnist.size) == ("mnist", 50, "28x28")
        return mnist.state, mnist.where

    assert state() == ("not downloaded", "picodigits data get mnist")
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(tiny_mnist))
    assert state() == ("in PICODIGITS_DATA", str(tiny_mnist))
    (tiny_mnist / f"{TEST_LABELS}.gz").unlink()
    assert state() == ("incomplete: 3 of 4 files in PICODIGITS_DATA", str(tiny_mnist))
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(tmp_path / "nowhere"))
    assert state()[0] == "PICODIGITS_DATA names no folder"


def test_the_check_finds_what_is_right_and_what_is_damaged(tiny_mnist: Path) -> None:
    findings = datasets.check("mnist", tiny_mnist)
    assert all(finding.ok for finding in findings)
    assert ("train, per class", True) in [finding[:2] for finding in findings]
    assert any(finding.text.startswith("0: 3, 1: 3") for finding in findings)
    (tiny_mnist / f"{TEST_IMAGES}.gz").write_bytes(b"\x1f\x8b")
    bad = [finding for finding in datasets.check("mnist", tiny_mnist) if not finding.ok]
    assert [finding.thing for finding in bad] == [TEST_IMAGES]
    assert "breaks off" in bad[0].text
    with pytest.raises(DatasetError, match="dataset: got 'nothing'"):
        datasets.check("nothing")


def test_the_check_finds_blank_pictures_and_missing_classes(tmp_path: Path) -> None:
    for i in range(5):
        draw_digit(tmp_path / "1" / f"{i}.png", True)
    Image.new("L", (9, 9), 255).save(tmp_path / "1" / "0.png")
    draw_digit(tmp_path / "2" / "0.png", True)
    bad = {f.thing: f.text for f in datasets.check(f"folder:{tmp_path}") if not f.ok}
    assert bad == {"train, blank": "1 pictures without ink", "test, per class": "1: 1, 2: 0; none of 2"}
    assert all(finding.ok for finding in datasets.check("digits"))


def test_a_contact_sheet_shows_dark_ink_on_white_with_a_row_per_class() -> None:
    digits = datasets.load("digits")
    sheet = datasets.contact_sheet(digits.images, digits.labels, digits.class_names, 6, "digits")
    pixels = np.asarray(sheet.convert("L"))
    first = digits.images[digits.labels == 0][0]
    shown = pixels[34 : 34 + 56, :][:, -6 * 60 - 4 : -6 * 60 - 4 + 56]
    assert np.array_equal(shown[3::7, 3::7], 255 - first)
    assert sheet.height > 10 * 56
    assert pixels.mean() > 128
    small = datasets.contact_sheet(digits.images, digits.labels, per_class=1)
    assert small.width < sheet.width
    long_name = datasets.contact_sheet(digits.images[:1], np.array([0]), ["a very long name of a class"])
    assert long_name.height < 80


@pytest.mark.parametrize(
    ("images", "labels", "options", "message"),
    [
        (np.zeros((0, 8, 8), np.uint8), np.zeros(0, np.int64), {}, "got images"),
        (np.zeros((2, 8, 8)), np.zeros(2, np.int64), {}, "got images"),
        (np.zeros((2, 8, 8), np.uint8), np.zeros(3, np.int64), {}, "got images"),
        (np.zeros((2, 8, 8), np.uint8), np.array([0, -1]), {}, "got labels int64 from -1"),
        (np.zeros((2, 8, 8), np.uint8), np.array([0, 2]), {"class_names": ["a", "b"]}, "got label 2, need 0 to 1"),
        (np.zeros((2, 8, 8), np.uint8), np.array([0, 1]), {"per_class": 0}, "got 0 per class"),
    ],
)
def test_a_contact_sheet_of_what_does_not_fit_is_refused(
    images: np.ndarray, labels: np.ndarray, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        datasets.contact_sheet(images, labels, **options)  # type: ignore[arg-type]
