"""Frames: what the camera hands over, the start of the pipeline.

A frame is (60, 80) uint16 RGB565_SWAPPED: 5 bits red, 6 green, 5 blue, row by row, digit upright. The OV7670
sends the high byte of each pixel first, so the uint16 that a little-endian machine reads from the buffer has
its two bytes swapped; 9600 bytes in all. LARGE frames are (120, 160), 38 400 bytes.

    bits of the uint16   15 14 13 | 12 11 10  9  8 |  7  6  5  4  3 |  2  1  0
                         g2 g1 g0 | b4 b3 b2 b1 b0 | r4 r3 r2 r1 r0 | g5 g4 g3

Source: OV7670/OV7171 datasheet 1.4, figure 11 "RGB 565 output timing diagram": first byte R4..R0 G5..G3,
second byte G2..G0 B4..B0.
"""

from __future__ import annotations

import io
import math
import re
import secrets
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from picodigits.errors import FrameError
from picodigits_board import preprocess

FRAME_HEIGHT, FRAME_WIDTH = preprocess.FRAME_HEIGHT, preprocess.FRAME_WIDTH
SMALL = (FRAME_HEIGHT, FRAME_WIDTH)  # (60, 80), 9600 bytes
LARGE = (120, 160)  # 38 400 bytes

ARRAY_SUFFIXES = (".npy",)
RAW_SUFFIXES = (".bin", ".raw", ".rgb565")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
SUFFIXES = (*ARRAY_SUFFIXES, *RAW_SUFFIXES, *IMAGE_SUFFIXES)

MAX_IMAGE_PIXELS = 100_000_000  # a 100-megapixel photo is 300 MB as RGB; what claims more is taken for a bomb
_IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_MAX_NPY_HEADER = 10_000  # bytes; NumPy's own limit for headers that may be evaluated


class LoadedFrames(NamedTuple):
    """Frames and where each came from.

    frames  (N, H, W) uint16 RGB565_SWAPPED, (H, W) = (60, 80) or (120, 160)
    names   N names: the file's name, with the index behind it where a file holds several: `desk.npy[3]`
    """

    frames: NDArray[np.uint16]
    names: tuple[str, ...]


# --- pixels -----------------------------------------------------------------------------------------------


def encode(rgb: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """RGB565_SWAPPED of `rgb`; the low bits are dropped, as the sensor does, so encode(decode(x)) == x.

    rgb (..., 3) uint8, red, green, blue, 0..255 -> (...) uint16. Raises FrameError for another shape or type.
    """
    rgb = np.asarray(rgb)
    if rgb.dtype != np.uint8 or rgb.ndim < 1 or rgb.shape[-1] != 3:
        raise FrameError(
            f"colours: got {_describe(rgb)}, need (..., 3) uint8, red, green, blue 0..255."
            " Convert with numpy: np.round(x).astype(np.uint8)."
        )
    red = rgb[..., 0].astype(np.uint16) >> 3  # 0..31
    green = rgb[..., 1].astype(np.uint16) >> 2  # 0..63
    blue = rgb[..., 2].astype(np.uint16) >> 3  # 0..31
    return cast("NDArray[np.uint16]", ((red << 11) | (green << 5) | blue).byteswap())


def decode(frames: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Red, green and blue of RGB565_SWAPPED, exact for all 65 536 values.

    frames (...) uint16 -> (..., 3) uint8. Bits are replicated, so black is 0 and white 255:
    r8 = r5 << 3 | r5 >> 2, g8 = g6 << 2 | g6 >> 4, b8 as r8. Raises FrameError for another type.
    """
    return _RGB[_need_uint16(frames)]


def luminance(frames: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Brightness of RGB565_SWAPPED: (77 R + 150 G + 29 B + 128) >> 8 over the decoded 8-bit colours.

    frames (...) uint16 -> (...) uint8, 0 = black, 255 = white. The weights are those of ITU-R BT.601
    (0.299, 0.587, 0.114) times 256, rounded to sum to 256; the + 128 rounds half up; at most
    256 * 255 + 128 = 65 408. Raises FrameError for another type.
    """
    return _LUMINANCE[_need_uint16(frames)]


def _decode_table() -> NDArray[np.uint8]:
    """(65536, 3) uint8: red, green, blue of every RGB565_SWAPPED value."""
    pixel = np.arange(65_536, dtype=np.uint16).byteswap()
    red, green, blue = pixel >> 11, (pixel >> 5) & 63, pixel & 31
    wide = [(red << 3) | (red >> 2), (green << 2) | (green >> 4), (blue << 3) | (blue >> 2)]
    return np.stack(wide, axis=-1).astype(np.uint8)


_RGB = _decode_table()
_LUMINANCE = ((_RGB.astype(np.uint32) @ np.array([77, 150, 29], np.uint32) + 128) >> 8).astype(np.uint8)


def _need_uint16(frames: NDArray[np.uint16]) -> NDArray[np.uint16]:
    frames = np.asarray(frames)
    if frames.dtype != np.uint16:
        raise FrameError(
            f"frame: got {_describe(frames)}, need uint16 RGB565_SWAPPED."
            ' For bytes as the sensor sends them: np.frombuffer(data, "<u2").'
        )
    return frames


def _describe(array: NDArray[Any]) -> str:
    return f"{tuple(array.shape)} {array.dtype}"


# --- loading ----------------------------------------------------------------------------------------------


def load_frames(path: str | Path, size: tuple[int, int] | None = None) -> LoadedFrames:
    """Frames from a file, or from all files of a folder in natural order (2.png before 10.png).

    .npy                    (N, 60, 80), (60, 80), (N, 120, 160) or (120, 160) uint16 RGB565_SWAPPED, or the
                            bytes as sent: (N, 9600), (9600,), (N, 38400) or (38400,) uint8. Never unpickled
    .bin .raw .rgb565       whole frames of 9600 bytes, one after the other; of 38 400 with size=LARGE
    .png .jpg .bmp .webp    any size: turned as EXIF says, alpha laid over white, 16-bit grey scaled to 8, cut
                            to the middle 4:3, averaged down to 80x60. Colour profiles are not applied, and of
                            an animation the first picture counts
    folder                  its files of these kinds; others and hidden ones are passed over, subfolders too

    `size` (H, W) is SMALL, LARGE or None: None takes .npy as they are and everything else as SMALL.

    Returns `LoadedFrames`. Raises FrameError, which names the file, for all that is not a frame.
    """
    if size is not None and tuple(size) not in (SMALL, LARGE):
        raise FrameError(f"size: got {size}, need {SMALL} or {LARGE} (height, width). Choose one of the two.")
    path = Path(path)
    if path.is_dir():
        return _load_folder(path, size)
    if not path.exists():
        raise FrameError(f"{path}: got no such file or folder, need frames. Check the path.")
    if not path.is_file():
        raise FrameError(f"{path}: got neither a file nor a folder, need frames. Check the path.")
    return _load_file(path, size)


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Sort key that counts: `2.png` before `10.png`, capitals beside small letters."""
    parts = re.split(r"(\d+)", text.casefold())  # text, number, text, ...: like always meets like
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], text


def _load_folder(folder: Path, size: tuple[int, int] | None) -> LoadedFrames:
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: natural_key(entry.name))
    except OSError as error:
        raise FrameError(f"{folder}: got {_reason(error)}, need a readable folder. Check it.") from error
    shown = [entry for entry in entries if not entry.name.startswith(".")]
    files = [entry for entry in shown if entry.suffix.lower() in SUFFIXES and entry.is_file()]
    if not files:
        folders = sum(entry.is_dir() for entry in shown)
        cause = (
            f"For one folder per class use the dataset folder:{folder}."
            if folders
            else f"Frames end in {', '.join(SUFFIXES)}."
        )
        raise FrameError(
            f"{folder}: got {len(shown) - folders} files and {folders} folders, none of them frames,"
            f" need at least one. {cause}"
        )
    loaded = [_load_file(file, size) for file in files]
    for file, part in zip(files, loaded, strict=True):
        if part.frames.shape[1:] != loaded[0].frames.shape[1:]:
            raise FrameError(
                f"{file}: got frames of {part.frames.shape[1:]}, need {loaded[0].frames.shape[1:]} as in"
                f" {files[0].name}. Keep one size per folder."
            )
    names = tuple(name for part in loaded for name in part.names)
    return LoadedFrames(np.concatenate([part.frames for part in loaded]), names)


def _load_file(path: Path, size: tuple[int, int] | None) -> LoadedFrames:
    suffix = path.suffix.lower()
    if suffix in ARRAY_SUFFIXES:
        frames = _load_array(path, size)
    elif suffix in RAW_SUFFIXES:
        frames = _load_raw(path, size or SMALL)
    elif suffix in IMAGE_SUFFIXES:
        frames = _load_image(path, size or SMALL)[np.newaxis]
    else:
        raise FrameError(
            f"{path}: got a file ending in {suffix or 'nothing'}, need one of {', '.join(SUFFIXES)}."
            " Rename or convert it."
        )
    if len(frames) == 1:
        return LoadedFrames(frames, (path.name,))
    return LoadedFrames(frames, tuple(f"{path.name}[{index}]" for index in range(len(frames))))


def _load_raw(path: Path, size: tuple[int, int]) -> NDArray[np.uint16]:
    """(N, H, W) uint16 from bytes as the sensor sends them."""
    data = _read(path)
    frame_bytes = size[0] * size[1] * 2
    if not data or len(data) % frame_bytes:
        cause = (
            f"The size is right for {LARGE}: give size=(120, 160)."
            if data and not len(data) % (LARGE[0] * LARGE[1] * 2)
            else "The transfer broke off, or the camera has another size."
        )
        raise FrameError(
            f"{path}: got {len(data)} bytes, need a multiple of {frame_bytes} ({size[1]}x{size[0]} RGB565). {cause}"
        )
    return np.frombuffer(data, "<u2").astype(np.uint16).reshape(-1, *size)


def _load_array(path: Path, size: tuple[int, int] | None) -> NDArray[np.uint16]:
    """(N, H, W) uint16 from a .npy file; never unpickled, its header believed only if it fits."""
    data = _read(path)
    header = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers by Python 2 work, and broken ones fail below
            version = np.lib.format.read_magic(header)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, column_major, dtype = read_header(header, max_header_size=_MAX_NPY_HEADER)
    except Exception as error:  # NumPy evaluates the header: what a broken one raises is open-ended
        raise FrameError(
            f"{path}: got a damaged or foreign file ({_reason(error)}), need a NumPy array (.npy)."
            " Save it again with numpy.save."
        ) from error
    layouts: dict[tuple[int, tuple[int, ...]], tuple[int, int]] = {
        (2, SMALL): SMALL,
        (2, LARGE): LARGE,
        (1, (9_600,)): SMALL,
        (1, (38_400,)): LARGE,
    }
    item_bytes = dtype.itemsize
    layout_size = layouts.get((item_bytes, tuple(shape[-2:] if item_bytes == 2 else shape[-1:])))
    frame_ndim = 2 if dtype.itemsize == 2 else 1
    if dtype.kind != "u" or layout_size is None or len(shape) not in (frame_ndim, frame_ndim + 1):
        raise FrameError(
            f"{path}: got {tuple(shape)} {dtype}, need (N, 60, 80) or (N, 120, 160) uint16 RGB565_SWAPPED, or"
            " (N, 9600) or (N, 38400) uint8. Grey pictures: save them as PNG."
        )
    if size is not None and layout_size != tuple(size):
        raise FrameError(f"{path}: got frames of {layout_size}, need {tuple(size)}. Load them with size=None.")
    need = math.prod(shape) * dtype.itemsize
    got = len(data) - header.tell()
    if need == 0 or got != need:
        raise FrameError(
            f"{path}: got {got} bytes of pixels, need {need or 'a frame or more'} for {tuple(shape)} {dtype}."
            " The file is empty, cut off or damaged: save it again."
        )
    flat = np.frombuffer(data, dtype, offset=header.tell())
    array = flat.reshape(shape, order="F" if column_major else "C")
    if dtype.itemsize == 1:
        array = np.ascontiguousarray(array).view("<u2")
    return np.ascontiguousarray(array, dtype=np.uint16).reshape(-1, *layout_size)


def _load_image(path: Path, size: tuple[int, int]) -> NDArray[np.uint16]:
    """(H, W) uint16 from a picture: its middle 4:3, averaged down (or interpolated up) to `size`."""
    image = open_image(path)
    width = min(image.width, max(1, round(image.height * 4 / 3)))
    height = min(image.height, max(1, round(image.width * 3 / 4)))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    image = image.crop((left, top, left + width, top + height))
    method = Image.Resampling.BOX if width >= size[1] else Image.Resampling.BILINEAR
    return encode(np.asarray(image.resize((size[1], size[0]), method), np.uint8))


def open_image(path: Path) -> Image.Image:
    """A PNG, JPEG, BMP or WebP file as an upright, opaque RGB picture; alpha is laid over white.

    PNG checksums are verified. Raises FrameError for damaged or truncated files, for other formats under
    these names, and for more than MAX_IMAGE_PIXELS.
    """
    data = _read(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures and broken EXIF; both are handled
            with Image.open(io.BytesIO(data), formats=_IMAGE_FORMATS) as image:
                pixels = image.width * image.height
                if pixels <= MAX_IMAGE_PIXELS:
                    if image.format == "PNG":
                        image.verify()  # load() does not look at the checksums, verify() ends the image
                        with Image.open(io.BytesIO(data), formats=_IMAGE_FORMATS) as fresh:
                            return _upright_rgb(fresh)
                    return _upright_rgb(image)
    except Image.DecompressionBombError as error:
        _too_large(path, "very many pixels", error)
    except Exception as error:  # decoders meet broken files with struct.error, SyntaxError, IndexError, ...
        raise FrameError(
            f"{path}: got a damaged, truncated or foreign picture ({_reason(error)}), need PNG, JPEG, BMP or"
            " WebP. Save or copy it again."
        ) from error
    _too_large(path, f"{pixels} pixels")


def _too_large(path: Path, got: str, cause: BaseException | None = None) -> NoReturn:
    raise FrameError(
        f"{path}: got {got}, need at most {MAX_IMAGE_PIXELS}. Scale the picture down; 80x60 is enough."
    ) from cause


def _upright_rgb(image: Image.Image) -> Image.Image:
    """`image` turned as its EXIF orientation says, as opaque RGB."""
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it at 255
        wide = np.asarray(image).astype(np.int64).clip(0, 65_535)
        image = Image.fromarray(((wide * 255 + 32_767) // 65_535).astype(np.uint8))
    if "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, MemoryError) as error:
        raise FrameError(f"{path}: got {_reason(error)}, need a readable file. Check it.") from error


def _reason(error: BaseException) -> str:
    """The error on one short line."""
    if isinstance(error, UnidentifiedImageError):  # it would name a buffer in memory
        return "no picture of these kinds"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = " ".join((text or type(error).__name__).split()).rstrip(".")
    return line if len(line) <= 100 else line[:97] + "..."


# --- saving -----------------------------------------------------------------------------------------------


def save_frames(path: str | Path, frames: NDArray[np.uint16], enlarge: int = 1) -> list[Path]:
    """Write frames so that `load_frames` gives the same ones back; returns the files written.

    path    .npy: (N, H, W) uint16. .bin .raw .rgb565: the bytes as sent. .png: one frame as a picture.
            No ending: a folder with one picture per frame, frame-0000.png and on
    frames  (N, H, W) or (H, W) uint16 RGB565_SWAPPED, (60, 80) or (120, 160)
    enlarge 1..32, pictures only: each pixel becomes enlarge x enlarge

    A file appears whole or not at all, and an older one stays until then. Raises FrameError.
    """
    path = Path(path)
    frames = _need_uint16(frames)
    if frames.ndim == 2:
        frames = frames[np.newaxis]
    if frames.ndim != 3 or frames.shape[1:] not in (SMALL, LARGE) or not len(frames):
        raise FrameError(
            f"{path}: got {_describe(frames)}, need (N, 60, 80) or (N, 120, 160) uint16, N at least 1."
            " Check the camera size."
        )
    if not 1 <= enlarge <= 32:
        raise FrameError(f"enlarge: got {enlarge}, need 1 to 32. 6 makes a picture of 480x360.")
    suffix = path.suffix.lower()
    if suffix in ARRAY_SUFFIXES:
        return [write_atomically(path, npy(frames))]
    if suffix in RAW_SUFFIXES:
        return [write_atomically(path, frames.astype("<u2").tobytes())]
    if suffix == ".png":
        if len(frames) > 1:
            raise FrameError(
                f"{path}: got {len(frames)} frames, need one for a PNG."
                f" Write {path.with_suffix('.npy').name}, or a folder of PNGs: {path.with_suffix('').name}."
            )
        return [write_atomically(path, _png(frames[0], enlarge))]
    if suffix:
        endings = ", ".join((*ARRAY_SUFFIXES, *RAW_SUFFIXES, ".png"))
        raise FrameError(
            f"{path}: got the ending {suffix}, need one of {endings} or none for a folder of PNGs. Name it so."
        )
    pictures = [_png(frame, enlarge) for frame in frames]
    return [write_atomically(path / f"frame-{i:04}.png", picture) for i, picture in enumerate(pictures)]


def to_image(frame: NDArray[np.uint16], enlarge: int = 1) -> Image.Image:
    """RGB picture of one frame (H, W) uint16 RGB565_SWAPPED, each pixel as enlarge x enlarge."""
    rgb = decode(frame).repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    return Image.fromarray(rgb)


def npy(array: NDArray[Any]) -> bytes:
    """The bytes of an .npy file that holds `array`."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _png(frame: NDArray[np.uint16], enlarge: int) -> bytes:
    buffer = io.BytesIO()
    to_image(frame, enlarge).save(buffer, "PNG")
    return buffer.getvalue()


def write_atomically(path: Path, data: bytes) -> Path:
    """Write `data` to `path`, which holds the old bytes or the new ones and never a part; returns `path`.

    Missing folders are made. Raises FrameError where the place can't be written.
    """

    def write(part: Path) -> None:
        with part.open("xb") as file:
            file.write(data)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_atomically(path, write)
    except OSError as error:
        raise FrameError(
            f"{path}: got {_reason(error)}, need a place that can be written. Choose another --out."
        ) from error
    return path


def replace_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a new file beside `path`, then put it in its place in one step.

    If `write` fails nothing is left of the new file, and `path` stays as it was.
    Raises what `write` raises, and OSError.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
