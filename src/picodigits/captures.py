"""Captures: frames that a board took, with what they show. The folder, and how it survives a crash.

    FOLDER/7/ada-20261121-193000-0012.rgb565   the frame's bytes as the camera sent them
                                     .png      the same upright, pixel by pixel, for people
                                     .json     label, writer, session, time, what the board's model read, ...
    FOLDER/none/...                            frames that show no digit
    FOLDER/set-aside/...                       what does not count, with the reason in its .json

The .json is written last, in one step, with everything else on the disk before it: **without it a capture does not
exist**. What a crash leaves is bytes without a .json; the next run sweeps them up. A capture that is moved to another
label exists twice for a moment, then the one with the higher `revision` counts.

Two frames are alike when their inks are: see `difference`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picodigits import frames
from picodigits.errors import DatasetError, FrameError, did_you_mean
from picodigits.executors import Inks, NumpyExecutor, make_inks
from picodigits.frames import (
    IMAGE_SUFFIXES,
    LARGE,
    SMALL,
    encode,
    luminance,
    natural_key,
    open_image,
    replace_atomically,
    to_image,
)
from picodigits_board import preprocess
from picodigits_board.modelfile import Model

PREFIX = "captures:"
SET_ASIDE = "set-aside"
NONE = "none"  # the label of frames that show no digit
FORMAT = "capture 1"
TABLE = "captures.csv"  # of an export
DUPLICATE = 0.06  # inks that differ by less are of the same sheet; see `difference`
SAME_PICTURE = 0.02  # frames without a digit have no ink: their brightness is compared in the same way
LEFTOVER_S = 10.0  # younger files without a .json may be another program's that is just writing them

_RAW, _PNG, _JSON = ".rgb565", ".png", ".json"
_STEM = re.compile(r"(?P<session>[\w-]+-\d{8}-\d{6})-(?P<number>\d{4,})")
_PART = re.compile(r"\." + _STEM.pattern + r"\.(?:rgb565|png|json)\.[0-9a-f]{8}\.part")
_COLUMNS = (
    "file", "label", "writer", "session", "number", "time", "model", "read", "confidence", "status", "transpose"
)  # fmt: skip
_SETTING = "setting "  # before the name of a setting, in the table
_INK = (16, 16)  # of the inks that are compared, whatever the model's

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Capture:
    """One frame that a board took.

    name        `LABEL-FOLDER/SESSION-NUMBER`; the last part alone is unique in the folder too
    label       what it shows, a class of the model, or NONE
    writer      whose hand
    session     one sitting: `WRITER-YYYYMMDD-HHMMSS` in UTC; an accuracy is honest only on sessions not learned from
    number      counts on through all sessions of a folder
    frame       (60, 80) or (120, 160) uint16 RGB565_SWAPPED, as the camera sent it
    transpose   the camera lies on its side: rows of the frame are columns of the upright picture
    time        when it was saved, ISO 8601, UTC
    model       the board's model
    read        what that read, "" for no digit; `confidence` in percent, `status` as preprocess.STATUS_KEYS has them
    settings    of the board, as it told them
    reason      why it was set aside; "" for those that count
    revision    how often it was relabelled or set aside
    """

    name: str
    label: str
    writer: str
    session: str
    number: int
    frame: NDArray[np.uint16]
    transpose: bool = False
    time: str = ""
    model: str = ""
    read: str = ""
    confidence: int = 0
    status: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    revision: int = 0

    @property
    def stem(self) -> str:
        """`SESSION-NUMBER`."""
        return f"{self.session}-{self.number:04}"

    @property
    def misread(self) -> bool:
        """The board showed something else than the label; with NONE, any digit."""
        return self.read != ("" if self.label == NONE else self.label)

    def picture(self, enlarge: int = 1) -> Image.Image:
        """The frame upright, RGB."""
        return to_image(self.frame.T if self.transpose else self.frame, enlarge)


@dataclass(frozen=True, eq=False)
class Captures(Sequence[Capture]):
    """The captures of a folder, by label, then by number.

    damaged  what was left out, a sentence each that begins with the capture's name
    """

    folder: Path
    items: tuple[Capture, ...]
    damaged: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Capture: ...
    @overload
    def __getitem__(self, index: slice) -> Captures: ...
    def __getitem__(self, index: int | slice) -> Capture | Captures:
        """One capture, or some of them as captures."""
        if isinstance(index, slice):
            return replace(self, items=self.items[index])
        return self.items[index]

    def where(self, keep: Callable[[Capture], bool]) -> Captures:
        """Those for which `keep` is true."""
        return replace(self, items=tuple(item for item in self.items if keep(item)))

    @property
    def labels(self) -> tuple[str, ...]:
        """What each shows."""
        return tuple(item.label for item in self.items)

    @property
    def writers(self) -> tuple[str, ...]:
        """Whose hand each is."""
        return tuple(item.writer for item in self.items)

    @property
    def sessions(self) -> tuple[str, ...]:
        """In which sitting each was taken."""
        return tuple(item.session for item in self.items)

    @property
    def frames(self) -> NDArray[np.uint16]:
        """(N, 60, 80) or (N, 120, 160) uint16 RGB565_SWAPPED, as the camera sent them.

        Raises DatasetError for frames of both sizes, and for none. To make inks of them, use `inks`: it knows which
        camera lay on its side.
        """
        sizes = {item.frame.shape for item in self.items}
        if len(sizes) != 1:
            raise DatasetError(
                f"{self.folder}: got frames of {len(sizes)} sizes, need one. Keep a folder for each camera size."
            )
        return np.stack([item.frame for item in self.items])

    def indices(self, class_names: Sequence[str]) -> NDArray[np.int64]:
        """(N,) int64: each label's place in `class_names`, -1 for NONE. Raises DatasetError for another label."""
        strange = sorted({*self.labels} - {*class_names, NONE}, key=natural_key)
        if strange:
            raise DatasetError(
                f"{self.folder}: got captures of {', '.join(strange)}, need some of {', '.join(class_names)}, or {NONE}"
                f" for no digit. Relabel them: picodigits data review {self.folder} --relabel NAME=LABEL"
            )
        places = {NONE: -1} | {name: place for place, name in enumerate(class_names)}
        return np.array([places[label] for label in self.labels], np.int64)

    def inks(self, preprocess_id: str, shape: tuple[int, int]) -> Inks:
        """What the board's preprocessing makes of the frames: inks of `shape`, turned where the camera lay on its side.

        Raises what `executors.make_inks` raises.
        """
        looks, parts = 1, dict[int, tuple[Inks, int]]()
        inks = np.zeros((len(self), *shape), np.uint8)
        statuses = np.zeros(len(self), np.uint8)
        boxes = np.full((len(self), 4), -1, np.int16)
        for size in {item.frame.shape for item in self.items}:
            places = [i for i, item in enumerate(self.items) if item.frame.shape == size]
            made = upright_inks(
                np.stack([self.items[i].frame for i in places]),
                preprocess_id,
                shape,
                np.array([self.items[i].transpose for i in places]),
            )
            inks[places], statuses[places], boxes[places] = made.inks, made.statuses, made.boxes
            looks = made.looks
            parts.update({int(place): (made, number) for number, place in enumerate(places)})

        def again(number: int, look: int) -> NDArray[np.uint8]:
            part, there = parts[number]
            assert part.again is not None
            return part.again(there, look)

        return Inks(inks, statuses, boxes, looks, again)


def upright_inks(
    pictures: NDArray[np.uint16],
    preprocess_id: str,
    shape: tuple[int, int],
    transpose: bool | NDArray[np.bool_] = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Inks:
    """Inks (N, *shape) of `pictures`, frames as `make_inks` takes them; `transpose`: the camera lies on its side.

    As on the board: preprocessing sees the frame as it comes, and the ink is turned. Boxes are in the frame as it
    comes. Raises what `make_inks` raises, and FrameError for an ink that is not square and has to be turned.
    """
    made = make_inks(pictures, preprocess_id, shape, progress)
    turned = np.broadcast_to(transpose, len(pictures))
    if not turned.any():
        return made
    if shape[0] != shape[1]:
        raise FrameError(f"ink: got {shape} of a camera on its side, need a square one. Take another model.")
    made.inks[turned] = made.inks[turned].transpose(0, 2, 1)

    def again(number: int, look: int) -> NDArray[np.uint8]:
        assert made.again is not None
        ink = made.again(number, look)
        return ink.T if turned[number] else ink

    return replace(made, again=again)


# --- alike ------------------------------------------------------------------------------------------------


def difference(a: NDArray[np.integer], b: NDArray[np.integer]) -> NDArray[np.float64]:
    """How much inks differ, 0 (equal) to 1 (no ink in common): sum |a - b| / sum (a + b), over the last two axes.

    The dissimilarity of Bray and Curtis (1957). Inks have light, place, size and slant taken out of them, so this is
    about the strokes. Medians of simulated frames (benchmarks/captures.py), studio to desk: a sheet held still 0.01 to
    0.04, trembling 0.07 to 0.09, in another photograph 0.09 to 0.23; the most similar of some 35 digits of the same
    class by others 0.1 (ones, which are strokes and little else) to 0.3.
    """
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    part: NDArray[np.float64] = np.abs(a - b).sum((-1, -2)) / np.maximum((a + b).sum((-1, -2)), 1)
    return part


def look(frame: NDArray[np.uint16], transpose: bool = False) -> tuple[NDArray[np.uint8], int]:
    """The (16, 16) uint8 ink of a frame, upright, and the status of the preprocessing. Raises FrameError."""
    made = upright_inks(frame[np.newaxis], preprocess.FIND, _INK, transpose)
    return made.inks[0], int(made.statuses[0])


class Sieve:
    """Tells which frames are not worth keeping: without a whole digit, or the same again.

    "The same" is a frame of the same label and writer whose ink differs by less than DUPLICATE. Of NONE, frames
    without a digit are what is wanted, and their pictures are compared instead, by SAME_PICTURE.
    """

    def __init__(self, known: Iterable[Capture] = ()) -> None:
        self._seen: dict[tuple[str, str], list[tuple[str, NDArray[np.uint8]]]] = {}
        for item in known:
            self.add(item)

    def add(self, capture: Capture) -> None:
        """From now on, frames like this one are the same again."""
        mark = self._mark(capture.frame, capture.label, capture.transpose)
        self._seen.setdefault((capture.label, capture.writer), []).append((capture.name, mark))

    def reason(self, frame: NDArray[np.uint16], label: str, writer: str, transpose: bool = False) -> str:
        """Why a frame should be set aside; "" for one to keep. Raises FrameError."""
        if label != NONE and (status := look(frame, transpose)[1]) != preprocess.FOUND:
            return f"no whole digit: {preprocess.STATUS_NAMES[status]}"
        return self.again(frame, label, writer, transpose)

    def again(self, frame: NDArray[np.uint16], label: str, writer: str, transpose: bool = False) -> str:
        """Of which capture a frame is the same again; "" for a new one. Raises FrameError."""
        mark = self._mark(frame, label, transpose)
        seen = self._seen.get((label, writer))
        if not seen:
            return ""
        far = difference(np.stack([other for _, other in seen]), mark)
        nearest = int(far.argmin())
        if far[nearest] >= (SAME_PICTURE if label == NONE else DUPLICATE):
            return ""
        return f"nearly the same as {seen[nearest][0]} (differs by {far[nearest]:.3f})"

    @staticmethod
    def _mark(frame: NDArray[np.uint16], label: str, transpose: bool) -> NDArray[np.uint8]:
        if label != NONE:
            return look(frame, transpose)[0]
        height, width = frame.shape
        cells = luminance(frame).reshape(15, height // 15, 20, width // 20).mean((1, 3))
        mark: NDArray[np.uint8] = cells.astype(np.uint8)
        return mark


# --- loading ----------------------------------------------------------------------------------------------


def load(folder: str | Path, *, set_aside: bool = False) -> Captures:
    """The captures of a folder, or with `set_aside` those that were set aside.

    Each is checked: its raw bytes by length and SHA-256, its picture against them, its label against its folder. What
    is not whole is left out and told in `damaged`.

    Raises DatasetError where there is no such folder, or no whole capture in it; no capture set aside is no error.
    """
    folder = Path(folder)
    if not folder.is_dir():
        got = "a file" if folder.exists() else "no such folder"
        raise DatasetError(
            f"{folder}: got {got}, need a folder of captures. Make one: picodigits capture --out {folder}"
        )
    found = scan(folder, set_aside=set_aside)
    if not found.items and not set_aside:
        cause = (
            f"Damaged: {'; '.join(found.damaged[:3])}"
            if found.damaged
            else f"Take some: picodigits capture --out {folder}"
        )
        raise DatasetError(f"{folder}: got no whole capture, need one or more. {cause}")
    return found


def scan(folder: Path, *, set_aside: bool = False) -> Captures:
    """As `load`, but a folder without captures, or none at all, is an empty one. Raises DatasetError."""
    newest: dict[str, Capture] = {}
    damaged: list[str] = []
    for path in _records(folder, set_aside):
        try:
            item = _read(path)
        except DatasetError as error:
            damaged.append(str(error))
            continue
        if item is None:
            continue
        other = newest.get(item.stem)
        if other is None or other.revision < item.revision:
            newest[item.stem] = item
    if not set_aside and (folder / SET_ASIDE).is_dir():  # moved there by a run that was cut before it was gone here
        for path in _records(folder, True):
            here = newest.get(path.stem)
            if here is not None and here.revision < _revision(path):
                del newest[path.stem]
    items = sorted(newest.values(), key=lambda item: (item.label == NONE, natural_key(item.label), item.number))
    return Captures(folder, tuple(items), tuple(damaged))


def is_folder(path: Path) -> bool:
    """Whether there are captures in `path`, or in a folder of it; damaged ones count too."""
    return path.is_dir() and any(record.with_suffix(_RAW).is_file() for record in _records(path, False))


class Frames(NamedTuple):
    """Frames to read, from captures or any other place.

    frames     (N, 60, 80) or (N, 120, 160) uint16 RGB565_SWAPPED
    names      N of them
    transpose  (N,) bool: by a camera that lies on its side
    damaged    captures that were left out, a sentence each
    """

    frames: NDArray[np.uint16]
    names: tuple[str, ...]
    transpose: NDArray[np.bool_]
    damaged: tuple[str, ...] = ()


def load_frames(path: str | Path) -> Frames:
    """Frames of a folder of captures, of one label's folder in it, or of all that `frames.load_frames` takes.

    Raises DatasetError and FrameError.
    """
    path = Path(path)
    if not is_folder(path):
        plain = frames.load_frames(path)
        return Frames(plain.frames, plain.names, np.zeros(len(plain.names), np.bool_))
    found = load(path)
    turned = np.array([item.transpose for item in found], np.bool_)
    return Frames(found.frames, tuple(item.name for item in found), turned, found.damaged)


def _records(folder: Path, set_aside: bool) -> list[Path]:
    """The .json files of captures in `folder` and the folders in it."""
    try:
        if set_aside:
            places = [folder / SET_ASIDE] if (folder / SET_ASIDE).is_dir() else []
        else:
            places = [folder, *_label_folders(folder)] if folder.is_dir() else []
        paths = [path for place in places for path in place.iterdir()]
    except OSError as error:
        raise _unreadable(folder, error) from error
    mine = [path for path in paths if path.suffix == _JSON and _STEM.fullmatch(path.stem)]
    return sorted(mine, key=lambda path: natural_key(str(path)))


def _label_folders(folder: Path) -> list[Path]:
    return [
        place
        for place in folder.iterdir()
        if place.is_dir() and place.name != SET_ASIDE and not place.name.startswith(".")
    ]


def _read(path: Path) -> Capture | None:
    """The capture whose .json is `path`; None for a file of somebody else. Raises DatasetError for a damaged one."""
    name = f"{path.parent.name}/{path.stem}"
    try:
        facts = json.loads(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{name}: got a .json that can't be read, need it whole. {_take_out(path)}") from error
    if not isinstance(facts, dict) or "picodigits" not in facts:
        return None
    if facts["picodigits"] != FORMAT:
        raise DatasetError(f"{name}: got format {facts['picodigits']!r}, need {FORMAT!r}. Update picodigits.")
    try:
        width, height = facts["size"]
        item = Capture(
            name=name,
            **{key: _of_kind(facts[key], str) for key in ("label", "writer", "session", "time", "model", "read")},
            **{key: _of_kind(facts[key], str) for key in ("status", "reason")},
            **{key: _of_kind(facts[key], int) for key in ("number", "confidence", "revision")},
            transpose=_of_kind(facts["transpose"], bool),
            settings={_of_kind(key, str): _of_kind(value, str) for key, value in facts["settings"].items()},
            frame=_read_raw(path.with_suffix(_RAW), name, (height, width), facts["sha256"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{name}: got a .json without all of a capture's facts ({error}). {_take_out(path)}"
        ) from error
    _check(path, item)
    return item


def _take_out(path: Path) -> str:
    return f"Put it back, or take it out: picodigits data review {path.parent.parent} --remove {path.stem}"


def _of_kind(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value


def _read_raw(path: Path, name: str, size: tuple[int, int], sha256: str) -> NDArray[np.uint16]:
    if size not in (SMALL, LARGE):
        raise DatasetError(f"{name}: got size {size[1]}x{size[0]}, need 80x60 or 160x120. {_take_out(path)}")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DatasetError(f"{name}: got no {path.name}, need the frame's bytes. {_take_out(path)}") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    need = 2 * size[0] * size[1]
    if len(data) != need:
        raise DatasetError(f"{name}: got {len(data)} bytes in {path.name}, need {need}. {_take_out(path)}")
    if (got := hashlib.sha256(data).hexdigest()) != sha256:
        raise DatasetError(
            f"{name}: got SHA-256 {got[:12]}... in {path.name}, need {str(sha256)[:12]}.... {_take_out(path)}"
        )
    return np.frombuffer(data, "<u2").astype(np.uint16).reshape(size)


def _check(path: Path, item: Capture) -> None:
    """Label against folder, name against file, picture against frame. Raises DatasetError."""
    if item.stem != path.stem:
        raise DatasetError(f"{item.name}: got a .json of {item.stem}, need one of {path.stem}. Name the files back.")
    place = SET_ASIDE if item.reason else folder_of(item.label)
    if path.parent.name.casefold() != place.casefold():
        raise DatasetError(
            f"{item.name}: got the folder {path.parent.name}, need {place}, as its .json says."
            f" Put it back, and if it shows something else: picodigits data review {path.parent.parent} --relabel"
            f" {item.stem}=LABEL"
        )
    picture = path.with_suffix(_PNG)
    if not picture.is_file():
        raise DatasetError(f"{item.name}: got no {picture.name}, need the picture. {_take_out(path)}")
    try:
        shown = np.asarray(open_image(picture))
    except FrameError as error:
        raise DatasetError(
            f"{item.name}: got a picture that can't be read, need {picture.name} whole. {_take_out(path)}"
        ) from error
    if not np.array_equal(shown, np.asarray(item.picture())):
        raise DatasetError(f"{item.name}: got another picture than its frame in {picture.name}. {_take_out(path)}")


def _revision(path: Path) -> int:
    try:
        return int(json.loads(path.read_bytes())["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1


def _unreadable(path: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{path}: got {error.strerror or error}, need a readable folder. Check its permissions.")


# --- saving -----------------------------------------------------------------------------------------------


def folder_of(label: str) -> str:
    """The name of a label's folder: the label, but for what file systems don't take, which becomes %HH."""
    safe = re.sub(r'[<>:"/\\|?*%\x00-\x1f]|^[. ]|[. ]$', lambda found: f"%{ord(found[0]):02x}", label)
    return f"%{ord(safe[0]):02x}{safe[1:]}" if safe == SET_ASIDE else safe


def new_session(folder: str | Path, writer: str, now: datetime | None = None) -> str:
    """A name for a sitting that begins now (UTC), which no capture in `folder` has yet. Raises DatasetError."""
    slug = re.sub(r"[^\w]+", "-", writer.casefold()).strip("-_")[:24] or "writer"
    taken = {match["session"] for match in _stems(Path(folder))}
    second = int((now or datetime.now(UTC)).timestamp())
    while (name := f"{slug}-{datetime.fromtimestamp(second, UTC):%Y%m%d-%H%M%S}") in taken:
        second += 1
    return name


def next_number(folder: str | Path) -> int:
    """One more than the highest number in `folder`, leftovers included. Raises DatasetError."""
    return 1 + max((int(match["number"]) for match in _stems(Path(folder))), default=0)


def _stems(folder: Path) -> Iterator[re.Match[str]]:
    try:
        for place in [*_label_folders(folder), folder / SET_ASIDE] if folder.is_dir() else []:
            for path in place.iterdir() if place.is_dir() else []:
                if match := _STEM.match(path.name.lstrip(".")):
                    yield match
    except OSError as error:
        raise _unreadable(folder, error) from error


def save(
    folder: str | Path,
    frame: NDArray[np.uint16],
    *,
    label: str,
    writer: str,
    session: str,
    number: int | None = None,
    transpose: bool = False,
    time: str = "",
    model: str = "",
    read: str = "",
    confidence: int = 0,
    status: str = "",
    settings: Mapping[str, str] | None = None,
    reason: str = "",
) -> Capture:
    """Save a frame; when this returns it is on the disk. The parameters are those of `Capture`.

    number  None: one more than the highest in the folder
    time    "": now
    reason  not empty: it goes to SET_ASIDE
    Raises DatasetError for a frame, a label or a writer that is none, and where the folder can't be written: then
    nothing is left of it.
    """
    folder = Path(folder)
    if frame.dtype != np.uint16 or frame.shape not in (SMALL, LARGE):
        raise DatasetError(
            f"capture: got {frame.shape} {frame.dtype}, need (60, 80) or (120, 160) uint16. Check the camera size."
        )
    need_name("label", label)
    need_name("writer", writer)
    number = next_number(folder) if number is None else number
    item = Capture(
        name="",
        label=label,
        writer=writer,
        session=session,
        number=number,
        frame=np.ascontiguousarray(frame),
        transpose=transpose,
        time=time or datetime.now(UTC).isoformat(timespec="seconds"),
        model=model,
        read=read,
        confidence=confidence,
        status=status,
        settings=dict(settings or {}),
        reason=reason,
    )
    if not _STEM.fullmatch(item.stem):
        raise DatasetError(f"session: got {session!r}, need NAME-YYYYMMDD-HHMMSS. Use captures.new_session.")
    return _write(folder, item)


def need_name(what: str, name: str) -> str:
    """`name` without spaces around it. Raises DatasetError for one that is empty, too long, or can't be printed."""
    if not name or name != name.strip() or len(name) > 60 or not name.isprintable():
        raise DatasetError(f"{what}: got {name!r}, need 1 to 60 letters without spaces around them. Name it so.")
    return name


def _write(folder: Path, item: Capture) -> Capture:
    """Put `item` where it belongs: raw bytes, picture, and when those are on the disk its .json."""
    place = folder / (SET_ASIDE if item.reason else folder_of(item.label))
    item = replace(item, name=f"{place.name}/{item.stem}")
    base = place / item.stem
    raw = item.frame.astype("<u2").tobytes()
    height, width = item.frame.shape
    keys = ("label", "writer", "session", "number", "time", "model", "read", "confidence", "status", "transpose")
    facts = {"picodigits": FORMAT} | {key: getattr(item, key) for key in (*keys, "reason", "revision")}
    facts |= {"size": [width, height], "sha256": hashlib.sha256(raw).hexdigest(), "settings": dict(item.settings)}
    buffer = io.BytesIO()
    item.picture().save(buffer, "PNG")
    text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    paths = [Path(f"{base}{suffix}") for suffix in (_RAW, _PNG, _JSON)]
    try:
        place.mkdir(parents=True, exist_ok=True)
        if paths[0].exists():
            raise FileExistsError(0, "another capture of this name")
        try:
            for path, data in zip(paths, (raw, buffer.getvalue(), text.encode()), strict=True):
                put(path, data)
            _sync_folder(place)
        except BaseException:
            if not paths[2].exists():
                for path in (paths[1], paths[0]):
                    path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise unwritable(base, error) from error
    return item


def put(path: Path, data: bytes) -> None:
    """Write a file, whole and on the disk, or not at all."""

    def write(part: Path) -> None:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    replace_atomically(path, write)


def _sync_folder(place: Path) -> None:
    """Get a folder's new names onto the disk, where the system can."""
    if os.name == "posix":
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def unwritable(path: Path, error: OSError) -> DatasetError:
    """What to raise where `path`, in a folder of captures, can't be written."""
    return DatasetError(
        f"{path}: got {error.strerror or error}, need a folder that can be written, with room. What was reported saved"
        " before is safe. Make room, or choose another with --out."
    )


def sweep(folder: str | Path, older_than_s: float = LEFTOVER_S) -> list[str]:
    """Remove what a crash left: parts of files, raw bytes without a .json, captures that were moved and lie here still.

    Files of other names and younger ones stay; returns what was removed. Raises DatasetError.
    """
    folder = Path(folder)
    removed: list[str] = []
    revisions: dict[str, int] = {}
    before = time.time() - older_than_s
    try:
        places = [*_label_folders(folder), folder / SET_ASIDE] if folder.is_dir() else []
        files = [path for place in places if place.is_dir() for path in sorted(place.iterdir())]
        for path in files:
            if path.suffix == _JSON and _STEM.fullmatch(path.stem):
                revisions[path.stem] = max(revisions.get(path.stem, -1), _revision(path))
        for path in files:
            if not path.exists() or path.stat().st_mtime > before:
                continue
            record = path.with_suffix(_JSON)
            if _PART.fullmatch(path.name):
                path.unlink()
                removed.append(path.name)
            elif _STEM.fullmatch(path.stem) and (
                (path.suffix == _RAW and not record.exists())
                or (path.suffix == _JSON and 0 <= _revision(path) < revisions[path.stem])
            ):
                _delete(path)
                removed.append(f"{path.parent.name}/{path.stem}")
    except OSError as error:
        raise unwritable(folder, error) from error
    return removed


def _delete(path: Path) -> None:
    """Remove a capture's files: first it is none any more, then its picture, and the bytes last, which tell of it."""
    for suffix in (_JSON, _PNG, _RAW):
        path.with_suffix(suffix).unlink(missing_ok=True)


# --- reviewing --------------------------------------------------------------------------------------------


def parse_relabel(text: str) -> tuple[str, str]:
    """Name and label of NAME=LABEL. Raises DatasetError."""
    name, equals, label = text.partition("=")
    if not (name and equals):
        raise DatasetError(f"relabel: got {text}, need NAME=LABEL. The names are in the contact sheet.")
    return name, need_name("label", label)


def folder_named(name: str) -> Path:
    """The folder of `captures:FOLDER`; the bare folder will do. Raises DatasetError for another kind of dataset."""
    path = name.removeprefix(PREFIX)
    if not path or (path == name and not Path(name).is_dir()):
        raise DatasetError(f"{name or 'captures'}: got no folder of captures, need {PREFIX}FOLDER. Check the path.")
    return Path(path)


def tally(items: Captures) -> list[tuple[str, str, str, str]]:
    """A row a label: the label, its captures, how many show another digit than it, how many were declined."""
    rows = []
    for label in dict.fromkeys(items.labels):
        mine = [item for item in items if item.label == label]
        declined = sum(not item.read for item in mine)
        wrong = sum(item.misread and bool(item.read) for item in mine)
        rows.append((label, str(len(mine)), str(wrong), str(declined)))
    return rows


def read_again(items: Captures, model: Model) -> Captures:
    """The captures with what `model` reads in them, each for itself, in place of what the board's model read then.

    Raises what the executor raises.
    """
    executor = NumpyExecutor(model)
    readings = executor.decide(items.inks(model.preprocess_id, (model.ink_height, model.ink_width)))
    again = [
        replace(
            item,
            model=model.name,
            read=model.labels[decision] if decision >= 0 else "",
            confidence=int(confidence),
            status=preprocess.STATUS_KEYS[status],
        )
        for item, decision, confidence, status in zip(
            items, readings.decisions, readings.confidences, readings.inks.statuses, strict=True
        )
    ]
    return replace(items, items=tuple(again))


def find(captures: Captures, name: str) -> Capture:
    """The capture with this name, with or without its folder. Raises DatasetError."""
    for item in captures.items:
        if name in (item.name, item.stem):
            return item
    near = did_you_mean(name, [item.stem for item in captures.items])
    raise DatasetError(
        f"{captures.folder}: got the name {name}, need that of a capture in it.{near} See: picodigits data review"
        f" {captures.folder}"
    )


def relabel(folder: str | Path, name: str, label: str) -> Capture:
    """Give a capture another label; one that was set aside counts again. Returns it. Raises DatasetError."""
    folder = Path(folder)
    need_name("label", label)
    kept, aside = scan(folder), scan(folder, set_aside=True)
    return _move(folder, find(replace(kept, items=kept.items + aside.items), name), label=label, reason="")


def set_aside(folder: str | Path, name: str, reason: str = "removed by hand") -> str:
    """Move a capture to SET_ASIDE; a damaged one too, as it is. Returns its new name. Raises DatasetError."""
    folder = Path(folder)
    found = scan(folder)
    broken = [
        record for record in _records(folder, False) if name in (record.stem, f"{record.parent.name}/{record.stem}")
    ]
    if broken and not any(item.stem == broken[0].stem for item in found.items):
        return _move_as_it_is(folder, broken[0])
    return _move(folder, find(found, name), reason=reason).name


def _move(folder: Path, item: Capture, **changes: Any) -> Capture:
    moved = replace(item, revision=item.revision + 1, **changes)
    if (SET_ASIDE if moved.reason else folder_of(moved.label)) == item.name.rpartition("/")[0]:
        raise DatasetError(f"{item.name}: got the label {item.label}, which it has. Name another.")
    written = _write(folder, moved)
    try:
        _delete(folder / f"{item.name}{_JSON}")
    except OSError as error:
        raise unwritable(folder, error) from error
    return written


def _move_as_it_is(folder: Path, record: Path) -> str:
    try:
        place = folder / SET_ASIDE
        place.mkdir(exist_ok=True)
        for suffix in (_JSON, _PNG, _RAW):
            if (path := record.with_suffix(suffix)).exists():
                path.replace(place / path.name)
    except OSError as error:
        raise unwritable(folder, error) from error
    return f"{SET_ASIDE}/{record.stem}"


# --- to and from others -----------------------------------------------------------------------------------


def export(captures: Captures, out: str | Path, progress: Progress = lambda stage, done, total: None) -> Path:
    """Write captures as others use them: a folder of PNGs a label, upright and lossless, and a table, which it returns.

    out  a folder that does not exist or is empty; appears whole or, where the disk fills up, without the table
    Raises DatasetError.
    """
    out = Path(out)
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DatasetError(f"{out}: got something there, need a new or an empty folder. Choose another --out.")
        out.mkdir(parents=True, exist_ok=True)
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        settings = sorted({key for item in captures.items for key in item.settings})
        writer.writerow([*_COLUMNS, *(f"{_SETTING}{key}" for key in settings)])
        for done, item in enumerate(captures.items):
            path = out / folder_of(item.label) / f"{item.stem}.png"
            path.parent.mkdir(exist_ok=True)
            buffer = io.BytesIO()
            item.picture().save(buffer, "PNG")
            put(path, buffer.getvalue())
            cells = [getattr(item, key) for key in _COLUMNS[1:-1]]
            writer.writerow(
                [path.relative_to(out).as_posix(), *cells, int(item.transpose)]
                + [item.settings.get(key, "") for key in settings]
            )
            progress("exporting", done + 1, len(captures))
        put(out / TABLE, table.getvalue().encode())
    except OSError as error:
        raise unwritable(out, error) from error
    return out / TABLE


@dataclass(frozen=True)
class Imported:
    """What `import_folder` did: captures saved and captures set aside, by name."""

    saved: tuple[str, ...]
    aside: tuple[str, ...]


def import_folder(
    source: str | Path,
    folder: str | Path,
    writer: str | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Imported:
    """Take pictures that lie in a folder a label into a folder of captures.

    source  PNG, JPEG, ... in a folder a label, with the table of an export, which tells writers, sessions and all the
            rest, or without it: then `writer` is whose they are, and it is one session
    A picture of 80x60 or 160x120 becomes the frame that it was, bit for bit; others are cut and averaged down to 80x60.
    Frames without a whole digit and the same again are set aside; of an export, which was sifted before, those alone
    that are there already. All pictures are read before the first is saved.
    Raises DatasetError and FrameError.
    """
    source, folder = Path(source), Path(folder)
    if not source.is_dir():
        raise DatasetError(f"{source}: got no such folder, need one with a folder of pictures a label. Check the path.")
    rows = _table(source)
    try:
        paths = sorted(
            (path for place in _label_folders(source) for path in place.iterdir() if _is_picture(path)),
            key=lambda path: natural_key(path.relative_to(source).as_posix()),
        )
    except OSError as error:
        raise _unreadable(source, error) from error
    if not paths:
        raise DatasetError(f"{source}: got no pictures, need folders of them, such as {source / '7'}. Check the path.")
    unnamed = [path for path in paths if path.relative_to(source).as_posix() not in rows]
    if unnamed and writer is None:
        raise DatasetError(
            f"{source}: got {len(unnamed)} pictures without a writer in {TABLE}, need one. Name the writer: --writer"
        )
    session = new_session(folder, writer) if writer is not None else ""
    items = []
    for done, path in enumerate(paths):
        row = rows.get(path.relative_to(source).as_posix())
        items.append((_from_row(path, row) if row else _from_file(path, str(writer), session), row is not None))
        progress("reading", done + 1, len(paths))
    sweep(folder)
    there, number = scan(folder).items, next_number(folder)
    known, sieve = Sieve(there), Sieve(there)
    saved, aside = [], []
    for done, (item, exported) in enumerate(items):
        reason = (known.again if exported else sieve.reason)(item.frame, item.label, item.writer, item.transpose)
        kept = _write(folder, replace(item, number=number + done, reason=reason))
        if reason:
            aside.append(kept.name)
        else:
            saved.append(kept.name)
            sieve.add(kept)
        progress("saving", done + 1, len(items))
    return Imported(tuple(saved), tuple(aside))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _table(source: Path) -> dict[str, dict[str, str]]:
    """The rows of an export's table by file; none where there is no table. Raises DatasetError."""
    path = source / TABLE
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{path}: got a table that can't be read ({error}), need CSV in UTF-8. Export again."
        ) from error
    missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise DatasetError(f"{path}: got no column {', '.join(missing)}, need them all. Export again, or remove it.")
    return {row["file"]: row for row in rows}


def _from_row(path: Path, row: Mapping[str, str]) -> Capture:
    turned = row["transpose"] == "1"
    try:
        if not _STEM.fullmatch(f"{row['session']}-0001"):
            raise ValueError(f"session {row['session']!r}")
        return Capture(
            name="",
            label=need_name("label", row["label"]),
            writer=need_name("writer", row["writer"]),
            session=row["session"],
            number=0,
            frame=_frame_of(path, turned),
            transpose=turned,
            time=row["time"],
            model=row["model"],
            read=row["read"],
            confidence=int(row["confidence"] or 0),
            status=row["status"],
            settings={key[len(_SETTING) :]: text for key, text in row.items() if key.startswith(_SETTING) and text},
        )
    except ValueError as error:
        raise DatasetError(
            f"{path}: got {error} in {TABLE}, need what an export writes there. Mend the row."
        ) from error


def _from_file(path: Path, writer: str, session: str) -> Capture:
    label = re.sub("%([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), path.parent.name)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return Capture(
        name="",
        label=need_name("label", label),
        writer=need_name("writer", writer),
        session=session,
        number=0,
        frame=_frame_of(path, False),
        time=when,
    )


def _frame_of(path: Path, turned: bool) -> NDArray[np.uint16]:
    """The frame that a picture shows; exactly that of an export."""
    image = open_image(path)
    shape = (image.width, image.height) if turned else (image.height, image.width)
    if shape in (SMALL, LARGE):
        rgb = np.asarray(image)
        return encode(np.ascontiguousarray(rgb.transpose(1, 0, 2)) if turned else rgb)
    frame: NDArray[np.uint16] = frames.load_frames(path).frames[0]
    return frame
