"""Frames: RGB565 in the sensor's byte order, and what files they come from and go to."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from picodigits import frames as fr
from picodigits.errors import FrameError

EVERY_VALUE = np.arange(65_536, dtype=np.uint16)
FAST = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def some_frames(count: int = 3, size: tuple[int, int] = fr.SMALL, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 65_536, (count, *size), dtype=np.uint16)


def reference_rgb(value: int) -> tuple[int, int, int]:
    """Pure Python, from the bytes in the order in which the sensor sends them."""
    first, second = value & 255, value >> 8
    r5 = first >> 3
    g6 = (first & 7) << 3 | second >> 5
    b5 = second & 31
    return r5 << 3 | r5 >> 2, g6 << 2 | g6 >> 4, b5 << 3 | b5 >> 2


# --- pixels ---


def test_a_red_pixel_has_its_red_in_the_first_byte_sent() -> None:
    red = fr.encode(np.array([[255, 0, 0]], np.uint8))
    assert red.tobytes() == b"\xf8\x00"
    assert fr.encode(np.array([0, 255, 0], np.uint8)).tobytes() == b"\x07\xe0"
    assert fr.encode(np.array([0, 0, 255], np.uint8)).tobytes() == b"\x00\x1f"


def test_every_value_decodes_as_the_pure_python_reference() -> None:
    assert fr.decode(EVERY_VALUE).tolist() == [list(reference_rgb(value)) for value in range(65_536)]


def test_every_value_survives_decode_and_encode() -> None:
    assert np.array_equal(fr.encode(fr.decode(EVERY_VALUE)), EVERY_VALUE)
    assert fr.encode(fr.decode(EVERY_VALUE)).dtype == np.uint16


def test_every_luminance_equals_the_pure_python_reference() -> None:
    expected = []
    for value in range(65_536):
        red, green, blue = reference_rgb(value)
        expected.append((77 * red + 150 * green + 29 * blue + 128) >> 8)
    assert fr.luminance(EVERY_VALUE).tolist() == expected
    assert fr.luminance(EVERY_VALUE).dtype == np.uint8


def test_luminance_is_within_one_of_bt601_in_floats() -> None:
    exact = fr.decode(EVERY_VALUE) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(fr.luminance(EVERY_VALUE) - exact).max() <= 1.0
    black_white = fr.encode(np.array([[0, 0, 0], [255, 255, 255]], np.uint8))
    assert fr.luminance(black_white).tolist() == [0, 255]


def test_shapes_go_through_unchanged() -> None:
    frames = some_frames(2)
    assert fr.decode(frames).shape == (2, 60, 80, 3)
    assert fr.luminance(frames).shape == (2, 60, 80)
    assert fr.encode(fr.decode(frames[0, 0, 0])).shape == ()


@pytest.mark.parametrize("bad", [np.zeros((60, 80), np.int16), np.zeros((60, 80), np.uint8)])
def test_other_types_than_uint16_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(FrameError, match=r"^frame: got \(60, 80\) u?int\d+, need uint16 RGB565_SWAPPED\. "):
        fr.luminance(bad)
    with pytest.raises(FrameError, match=r"^frame: got"):
        fr.decode(bad)


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 3)), np.uint8(3)])
def test_only_uint8_triples_are_encoded(bad: np.ndarray) -> None:
    with pytest.raises(FrameError, match=r"^colours: got .*, need \(\.\.\., 3\) uint8"):
        fr.encode(bad)


# --- arrays and raw bytes ---


@pytest.mark.parametrize("size", [fr.SMALL, fr.LARGE])
def test_npy_files_come_back_as_saved(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = some_frames(3, size)
    assert fr.save_frames(tmp_path / "desk.npy", frames) == [tmp_path / "desk.npy"]
    loaded = fr.load_frames(tmp_path / "desk.npy")
    assert np.array_equal(loaded.frames, frames)
    assert loaded.frames.dtype == np.uint16
    assert loaded.names == ("desk.npy[0]", "desk.npy[1]", "desk.npy[2]")


@pytest.mark.parametrize("suffix", [".bin", ".raw", ".rgb565", ".RAW"])
def test_raw_files_are_the_bytes_as_sent(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"board{suffix}"
    path.write_bytes(b"\xf8\x00" * 4800)
    loaded = fr.load_frames(path)
    assert loaded.names == (path.name,)
    assert (fr.decode(loaded.frames) == [255, 0, 0]).all()
    fr.save_frames(path, loaded.frames)
    assert path.read_bytes() == b"\xf8\x00" * 4800


def test_38400_raw_bytes_are_four_small_frames_or_one_large_one(tmp_path: Path) -> None:
    large = some_frames(1, fr.LARGE)
    fr.save_frames(tmp_path / "a.bin", large)
    assert fr.load_frames(tmp_path / "a.bin").frames.shape == (4, 60, 80)
    assert np.array_equal(fr.load_frames(tmp_path / "a.bin", size=fr.LARGE).frames, large)


@pytest.mark.parametrize(
    "layout",
    [
        lambda f: f,
        lambda f: f[0],
        lambda f: f.astype(">u2"),
        lambda f: np.asfortranarray(f),
        lambda f: np.frombuffer(f.tobytes(), np.uint8).reshape(len(f), -1),
        lambda f: np.frombuffer(f[0].tobytes(), np.uint8),
        lambda f: np.asfortranarray(np.frombuffer(f.tobytes(), np.uint8).reshape(len(f), -1)),
    ],
)
@pytest.mark.parametrize("size", [fr.SMALL, fr.LARGE])
def test_npy_may_hold_frames_or_bytes_in_any_memory_order(
    tmp_path: Path, layout: object, size: tuple[int, int]
) -> None:
    frames = some_frames(2, size)
    array = layout(frames)  # type: ignore[operator]
    np.save(tmp_path / "x.npy", array)
    loaded = fr.load_frames(tmp_path / "x.npy").frames
    assert np.array_equal(loaded, frames[: len(loaded)])
    assert len(loaded) == (1 if array.size * array.itemsize == frames[0].nbytes else 2)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 60, 80), np.int16),
        np.zeros((2, 60, 80), np.uint8),
        np.zeros((2, 80, 60), np.uint16),
        np.zeros((0, 60, 80), np.uint16),
        np.zeros((1, 1, 60, 80), np.uint16),
        np.zeros((1, 2, 9600), np.uint8),
        np.zeros((3, 9601), np.uint8),
        np.zeros((9600,), bool),
        np.zeros((60, 80), np.float16),
        np.uint16(3),
    ],
)
def test_arrays_that_are_not_frames_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(FrameError, match=r"x\.npy: got .*, need "):
        fr.load_frames(tmp_path / "x.npy")


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("unpickled",))


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(FrameError, match="need"):
        fr.load_frames(tmp_path / "x.npy")
    (tmp_path / "y.npy").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(FrameError, match="need a NumPy array"):
        fr.load_frames(tmp_path / "y.npy")


def test_a_header_that_promises_terabytes_is_not_believed(tmp_path: Path) -> None:
    header = b"{'descr': '<u2', 'fortran_order': False, 'shape': (200000000, 60, 80), }".ljust(117) + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(9600)
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(FrameError, match="got 9600 bytes of pixels, need 1920000000000"):
        fr.load_frames(tmp_path / "x.npy")


@pytest.mark.parametrize("length", [0, 1, 4800, 9599, 9601, 19_199])
def test_raw_files_of_other_sizes_are_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(length))
    with pytest.raises(FrameError, match=rf"got {length} bytes, need a multiple of 9600 \(80x60 RGB565\)\. The"):
        fr.load_frames(tmp_path / "x.bin")


def test_a_size_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    fr.save_frames(tmp_path / "x.npy", some_frames())
    with pytest.raises(FrameError, match=r"got frames of \(60, 80\), need \(120, 160\)"):
        fr.load_frames(tmp_path / "x.npy", size=fr.LARGE)
    with pytest.raises(FrameError, match=r"^size: got \(80, 60\), need"):
        fr.load_frames(tmp_path / "x.npy", size=(80, 60))


# --- pictures ---


@pytest.mark.parametrize("enlarge", [1, 6])
def test_a_png_comes_back_exactly_even_enlarged(tmp_path: Path, enlarge: int) -> None:
    frames = some_frames(1)
    fr.save_frames(tmp_path / "x.png", frames[0], enlarge=enlarge)
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (80 * enlarge, 60 * enlarge)
    loaded = fr.load_frames(tmp_path / "x.png")
    assert np.array_equal(loaded.frames, frames)
    assert loaded.names == ("x.png",)


def test_large_frames_come_back_from_a_png_with_size_large(tmp_path: Path) -> None:
    frames = some_frames(1, fr.LARGE)
    fr.save_frames(tmp_path / "x.png", frames)
    assert np.array_equal(fr.load_frames(tmp_path / "x.png", size=fr.LARGE).frames, frames)
    assert fr.load_frames(tmp_path / "x.png").frames.shape == (1, 60, 80)


def test_a_large_picture_is_averaged_down(tmp_path: Path) -> None:
    checks = np.indices((240, 320)).sum(axis=0) % 2 * 255
    Image.fromarray(checks.astype(np.uint8)).save(tmp_path / "x.png")
    grey = fr.luminance(fr.load_frames(tmp_path / "x.png").frames)
    assert 124 <= grey.min() <= grey.max() <= 132


@pytest.mark.parametrize("size", [(640, 480), (600, 300), (300, 600), (1, 1), (28, 28), (3, 1000), (161, 119)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_pictures_of_any_size_become_a_frame(tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    Image.new("RGB", size, (8, 132, 248)).save(path)
    frames = fr.load_frames(path).frames
    assert frames.shape == (1, 60, 80)
    assert np.abs(fr.decode(frames).astype(int) - [8, 132, 248]).max() <= 16


def test_the_middle_four_to_three_is_kept(tmp_path: Path) -> None:
    picture = np.zeros((480, 1000, 3), np.uint8)
    picture[:, 180:820] = 255  # the middle 640 of 1000
    Image.fromarray(picture).save(tmp_path / "wide.png")
    assert (fr.decode(fr.load_frames(tmp_path / "wide.png").frames) == 255).all()
    Image.fromarray(picture.transpose(1, 0, 2)).save(tmp_path / "tall.png")
    tall = fr.luminance(fr.load_frames(tmp_path / "tall.png").frames)[0]
    assert (tall == 255).all()  # 480x1000: rows 320 to 680 are kept


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_the_exif_orientation_is_honoured(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = Image.new("RGB", (160, 120), "white")
    upright.paste("black", (0, 0, 40, 30))  # a dark top left corner
    to_stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(to_stored[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"x{suffix}", exif=exif)
    grey = fr.luminance(fr.load_frames(tmp_path / f"x{suffix}").frames)[0]
    assert grey[2:12, 2:17].max() < 40
    assert min(grey[20:].min(), grey[:, 25:].min()) > 200


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "L"])
def test_transparent_paper_is_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (80, 60), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (20, 20, 40, 40))
    if mode in ("1", "L"):
        grey = np.full((60, 80), 255, np.uint8)
        grey[20:40, 20:40] = 0
        picture = Image.fromarray(grey).convert(mode)
    elif mode == "P":
        indices = np.ones((60, 80), np.uint8)
        indices[20:40, 20:40] = 0
        picture = Image.fromarray(indices)
        picture.putpalette([0, 0, 0, 0, 0, 0])
        picture.info["transparency"] = 1
    elif mode == "LA":
        picture = picture.convert("LA")
    picture.save(tmp_path / "x.png")
    grey = fr.luminance(fr.load_frames(tmp_path / "x.png").frames)[0]
    assert (grey[20:40, 20:40] == 0).all()
    assert grey.sum() == 255 * (4800 - 400)


def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    wide = np.linspace(0, 65_535, 80).round().astype(np.uint16)
    Image.fromarray(np.tile(wide, (60, 1))).save(tmp_path / "x.png")
    grey = fr.luminance(fr.load_frames(tmp_path / "x.png").frames)[0, 0].astype(int)
    assert np.abs(grey - np.linspace(0, 255, 80)).max() <= 8


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    small = io.BytesIO()
    Image.new("1", (8, 8)).save(small, "PNG")
    data = bytearray(small.getvalue())
    for width, got in ((20_000, 400_000_000), (10_001, 100_020_001)):
        data[16:24] = struct.pack(">II", width, width)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        (tmp_path / "x.png").write_bytes(data)
        with pytest.raises(FrameError, match=rf"got ({got}|very many) pixels, need at most 100000000"):
            fr.load_frames(tmp_path / "x.png")


def test_another_format_under_a_picture_name_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (80, 60)).save(tmp_path / "x.gif")
    (tmp_path / "x.gif").rename(tmp_path / "x.png")
    with pytest.raises(FrameError, match=r"x\.png: got a damaged, truncated or foreign picture .*, need PNG, JPEG"):
        fr.load_frames(tmp_path / "x.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_picture_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"x{suffix}"
    fr.to_image(some_frames(1)[0]).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(FrameError, match="got a damaged, truncated or foreign picture"):
        fr.load_frames(path)


# --- folders and paths ---


def test_a_folder_is_loaded_in_natural_order_without_what_is_no_frame(tmp_path: Path) -> None:
    frames = some_frames(3)
    fr.save_frames(tmp_path / "shot10.png", frames[2])
    fr.save_frames(tmp_path / "Shot2.npy", frames[1])
    fr.save_frames(tmp_path / "shot1.bin", frames[0])
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / ".shot0.png").write_text("hidden")
    (tmp_path / "deeper.png").mkdir()
    loaded = fr.load_frames(tmp_path)
    assert loaded.names == ("shot1.bin", "Shot2.npy", "shot10.png")
    assert np.array_equal(loaded.frames, frames)


def test_an_empty_folder_is_an_error_that_says_what_fits(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"got 0 files and 0 folders, none of them frames, .* Frames end in \.npy"):
        fr.load_frames(tmp_path)
    (tmp_path / "7").mkdir()
    with pytest.raises(FrameError, match=r"use the dataset folder:"):
        fr.load_frames(tmp_path)


def test_one_bad_file_in_a_folder_is_named(tmp_path: Path) -> None:
    fr.save_frames(tmp_path / "1.png", some_frames(1))
    (tmp_path / "2.png").write_bytes(b"no picture")
    with pytest.raises(FrameError, match=r"2\.png: got"):
        fr.load_frames(tmp_path)


def test_a_folder_of_two_frame_sizes_is_refused(tmp_path: Path) -> None:
    fr.save_frames(tmp_path / "1.npy", some_frames(1))
    fr.save_frames(tmp_path / "2.npy", some_frames(1, fr.LARGE))
    with pytest.raises(FrameError, match=r"2\.npy: got frames of \(120, 160\), need \(60, 80\) as in 1\.npy"):
        fr.load_frames(tmp_path)


@pytest.mark.parametrize("name", ["missing.npy", "missing", "bad\0name.npy"])
def test_a_missing_path_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(FrameError, match="got no such file or folder, need frames"):
        fr.load_frames(tmp_path / name)


def test_an_unknown_ending_is_an_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    for name in ("x.npz", "x"):
        (tmp_path / name).write_bytes(bytes(9600))
        with pytest.raises(FrameError, match=r"got a file ending in (\.npz|nothing), need one of \.npy, \.bin"):
            fr.load_frames(tmp_path / name)


# --- saving ---


def test_many_frames_go_into_a_folder_of_pngs(tmp_path: Path) -> None:
    frames = some_frames(11)
    written = fr.save_frames(tmp_path / "new" / "shots", frames)
    assert [path.name for path in written[:2]] == ["frame-0000.png", "frame-0001.png"]
    assert np.array_equal(fr.load_frames(tmp_path / "new" / "shots").frames, frames)


@pytest.mark.parametrize(
    ("name", "frames", "message"),
    [
        ("x.png", some_frames(2), r"got 2 frames, need one for a PNG\. Write x\.npy"),
        ("x.jpg", some_frames(1), r"got the ending \.jpg, need one of \.npy"),
        ("x.npy", some_frames(1)[:, :30], r"got \(1, 30, 80\) uint16, need"),
        ("x.npy", some_frames(1)[:0], r"got \(0, 60, 80\) uint16, need"),
        ("x.npy", np.zeros((60, 80)), r"got \(60, 80\) float64, need uint16"),
    ],
)
def test_what_is_not_frames_is_not_saved_and_nothing_is_lost(
    tmp_path: Path, name: str, frames: np.ndarray, message: str
) -> None:
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(FrameError, match=message):
        fr.save_frames(tmp_path / name, frames)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"old"


def test_a_broken_write_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(b"old")

    def half(part: Path) -> None:
        part.write_bytes(b"ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fr.replace_atomically(path, half)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FrameError, match="need a place that can be written"):
        fr.save_frames(tmp_path / "file" / "x.npy", some_frames(1))
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(FrameError, match="need a place that can be written"):
        fr.save_frames(tmp_path / "folder.npy", some_frames(1))
    with pytest.raises(FrameError, match=r"^enlarge: got 0, need 1 to 32"):
        fr.save_frames(tmp_path / "x.png", some_frames(1), enlarge=0)


# --- properties: either exactly right or FrameError ---


@FAST
@given(length=st.integers(0, 40_000), seed=st.integers(0, 99))
def test_raw_bytes_load_exactly_or_not_at_all(tmp_path: Path, length: int, seed: int) -> None:
    data = np.random.default_rng(seed).bytes(length)
    path = tmp_path / "x.raw"
    path.write_bytes(data)
    try:
        loaded = fr.load_frames(path).frames
    except FrameError:
        assert length == 0 or length % 9600
    else:
        assert loaded.astype("<u2").tobytes() == data


def damaged(data: bytes, draw: st.DrawFn) -> bytes:
    """`data` cut off, appended to, or with bits flipped, mostly in its first bytes, where the format is."""
    kind = draw(st.sampled_from(["cut", "append", "flip", "flip head"]))
    if kind == "cut":
        return data[: draw(st.integers(0, len(data) - 1))]
    if kind == "append":
        return data + draw(st.binary(min_size=1, max_size=50))
    changed = bytearray(data)
    last = len(data) - 1 if kind == "flip" else min(len(data), 140) - 1
    for place in draw(st.lists(st.integers(0, last), min_size=1, max_size=4)):
        changed[place] ^= 1 << draw(st.integers(0, 7))
    return bytes(changed)


def frames_or_error(path: Path) -> np.ndarray | str:
    """The frames in `path`, or the text of its FrameError, which is one line in the house form."""
    try:
        return fr.load_frames(path).frames
    except FrameError as error:
        text = str(error)
    assert text.startswith(f"{path}: got ")
    assert ", need " in text
    assert "\n" not in text
    return text


@FAST
@given(data=st.data())
def test_a_damaged_npy_loads_what_its_bytes_say_or_not_at_all(tmp_path: Path, data: st.DataObject) -> None:
    buffer = io.BytesIO()
    np.save(buffer, some_frames(2))
    changed = data.draw(st.composite(lambda draw: damaged(buffer.getvalue(), draw))())
    path = tmp_path / "x.npy"
    path.write_bytes(changed)
    loaded = frames_or_error(path)
    if not isinstance(loaded, str):
        assert np.array_equal(loaded, np.load(io.BytesIO(changed), allow_pickle=False).reshape(loaded.shape))
        assert loaded.shape[1:] in (fr.SMALL, fr.LARGE)


@FAST
@given(data=st.data(), suffix=st.sampled_from([".png", ".jpg", ".webp", ".bmp"]))
def test_a_damaged_picture_gives_a_frame_or_a_frame_error(tmp_path: Path, data: st.DataObject, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    original = some_frames(1)
    exif = Image.Exif()
    exif[0x0112] = 3
    fr.to_image(original[0]).rotate(180).save(path, **({} if suffix == ".bmp" else {"exif": exif}))
    changed = data.draw(st.composite(lambda draw: damaged(path.read_bytes(), draw))())
    path.write_bytes(changed)
    loaded = frames_or_error(path)
    if not isinstance(loaded, str):
        assert loaded.shape == (1, 60, 80)
        if suffix == ".png":  # the one format with checksums
            assert np.array_equal(loaded, original)
