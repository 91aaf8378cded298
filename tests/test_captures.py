"""Captures: the folder, what a crash leaves, what is the same again, and the way to and from other programs."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from picodigits import camera, captures, cli, datasets, evaluation
from picodigits.errors import DatasetError, FrameError
from picodigits.executors import make_inks
from picodigits_board import preprocess

SESSION = "ada-20261121-193000"


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """(20, 60, 80) uint16: the digits 0 to 9, each by two writers."""
    digits = datasets.load("digits", "test").first_of_each(2)
    return camera.photograph(digits.images, "studio", seed=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "captures"


def save(folder: Path, frame: np.ndarray, label: str = "7", **more: Any) -> captures.Capture:
    return captures.save(folder, frame, label=label, **{"writer": "ada", "session": SESSION, **more})


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# --- saving and loading -----------------------------------------------------------------------------------


def test_a_capture_comes_back_as_it_was(folder: Path, frames: np.ndarray) -> None:
    facts = {"model": "fast", "read": "1", "confidence": 88, "status": "found", "settings": {"FLIP_X": "1"}}
    saved = save(folder, frames[0], "7", **facts)
    assert saved.name == f"7/{SESSION}-0001"
    assert files(folder) == {f"7/{SESSION}-0001.{suffix}" for suffix in ("rgb565", "png", "json")}
    (loaded,) = captures.load(folder)
    assert np.array_equal(loaded.frame, frames[0])
    assert loaded.frame.dtype == np.uint16
    assert (loaded.label, loaded.writer, loaded.session, loaded.number) == ("7", "ada", SESSION, 1)
    assert {name: getattr(loaded, name) for name in facts} == facts
    assert loaded.time == saved.time
    assert loaded.misread


def test_the_raw_file_holds_the_bytes_as_the_camera_sends_them(folder: Path, frames: np.ndarray) -> None:
    save(folder, frames[0])
    raw = (folder / "7" / f"{SESSION}-0001.rgb565").read_bytes()
    assert raw == frames[0].astype("<u2").tobytes()


@pytest.mark.parametrize("transpose", [False, True])
def test_the_picture_stands_upright(folder: Path, frames: np.ndarray, transpose: bool) -> None:
    save(folder, frames[0], transpose=transpose)
    with Image.open(folder / "7" / f"{SESSION}-0001.png") as image:
        assert image.size == ((60, 80) if transpose else (80, 60))
        shown = np.asarray(image)
    (loaded,) = captures.load(folder)
    assert np.array_equal(shown, np.asarray(loaded.picture()))


def test_numbers_go_on_through_labels_sessions_and_what_was_set_aside(folder: Path, frames: np.ndarray) -> None:
    assert save(folder, frames[0], "7").number == 1
    assert save(folder, frames[1], "3", session="bob-20261122-080000").number == 2
    assert save(folder, frames[2], "3", reason="no whole digit").number == 3
    assert save(folder, frames[3], "4").number == 4


def test_captures_come_as_arrays_with_labels_writers_and_sessions(folder: Path, frames: np.ndarray) -> None:
    for label, writer in (("10", "ada"), ("9", "bob"), ("none", "bob"), ("9", "ada")):
        save(folder, frames[0], label, writer=writer, session=f"{writer}-20261121-193000")
    loaded = captures.load(folder)
    assert loaded.labels == ("9", "9", "10", "none")  # in natural order
    assert loaded.writers == ("bob", "ada", "ada", "bob")
    assert loaded.sessions == tuple(f"{writer}-20261121-193000" for writer in loaded.writers)
    assert loaded.frames.shape == (4, 60, 80)
    assert loaded.indices(("9", "10")).tolist() == [0, 0, 1, -1]
    assert len(loaded[:2]) == 2
    assert loaded.where(lambda item: item.writer == "ada").labels == ("9", "10")
    with pytest.raises(DatasetError, match=r"got captures of 10, need some of 8, 9"):
        loaded.indices(("8", "9"))


def test_frames_of_two_sizes_are_told_but_their_inks_can_be_had(folder: Path, frames: np.ndarray) -> None:
    large = frames[1].repeat(2, 0).repeat(2, 1)
    save(folder, frames[0])
    save(folder, large)
    loaded = captures.load(folder)
    with pytest.raises(DatasetError, match="got frames of 2 sizes, need one"):
        _ = loaded.frames
    made = loaded.inks(preprocess.FIND, (16, 16))
    for at, frame in enumerate((frames[0], large)):
        assert np.array_equal(made.inks[at], make_inks(frame[np.newaxis], preprocess.FIND, (16, 16)).inks[0])


def test_inks_of_a_camera_on_its_side_are_turned_as_on_the_board(folder: Path, frames: np.ndarray) -> None:
    save(folder, frames[0], transpose=True)
    save(folder, frames[1])
    made = captures.load(folder).inks(preprocess.FIND, (16, 16))
    plain = make_inks(frames[:2], preprocess.FIND, (16, 16))
    assert np.array_equal(made.inks[0], plain.inks[0].T)
    assert np.array_equal(made.inks[1], plain.inks[1])
    with pytest.raises(FrameError, match="need a square one"):
        captures.upright_inks(frames[:1], preprocess.FIND, (16, 12), transpose=True)


@pytest.mark.parametrize(
    ("label", "name"), [("ö", "ö"), ("a/b", "a%2fb"), (".x", "%2ex"), ("set-aside", "%73et-aside"), ("[-b]", "[-b]")]
)
def test_any_label_has_a_folder_that_every_system_takes(
    folder: Path, frames: np.ndarray, label: str, name: str
) -> None:
    saved = save(folder, frames[0], label)
    assert saved.name.split("/")[0] == name
    assert captures.load(folder).labels == (label,)


@pytest.mark.parametrize("label", ["", " 7", "7 ", "x" * 61, "a\nb"])
def test_a_label_that_is_none_is_refused(folder: Path, frames: np.ndarray, label: str) -> None:
    with pytest.raises(DatasetError, match=r"label: got .*, need 1 to 60 letters"):
        save(folder, frames[0], label)
    assert not folder.exists()


def test_what_is_no_frame_is_refused(folder: Path, frames: np.ndarray) -> None:
    with pytest.raises(DatasetError, match=r"capture: got \(59, 80\) uint16, need \(60, 80\)"):
        save(folder, frames[0][1:])
    with pytest.raises(DatasetError, match="session: got 'monday', need NAME-YYYYMMDD-HHMMSS"):
        save(folder, frames[0], session="monday")


def test_a_new_session_has_a_name_that_no_other_has(folder: Path, frames: np.ndarray) -> None:
    first = captures.new_session(folder, "Ada Lovelace")
    assert first.startswith("ada-lovelace-20")
    save(folder, frames[0], session=first)
    assert captures.new_session(folder, "Ada Lovelace") != first
    assert captures.new_session(folder, "//").startswith("writer-")


def test_a_folder_without_captures_says_how_to_take_some(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"got no such folder, .* picodigits capture --out"):
        captures.load(tmp_path / "nowhere")
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "a.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"got no whole capture, need one or more\. Take some: picodigits capture"):
        captures.load(tmp_path)
    assert not captures.is_folder(tmp_path)
    assert len(captures.load(tmp_path, set_aside=True)) == 0


# --- damage -----------------------------------------------------------------------------------------------


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))


def _edit(**changes: Any) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


@pytest.mark.parametrize(
    ("suffix", "damage", "told"),
    [
        ("rgb565", _flip, "got SHA-256 "),
        ("rgb565", lambda path: path.write_bytes(path.read_bytes()[:-1]), "got 9599 bytes"),
        ("rgb565", Path.unlink, "got no .*rgb565"),
        ("png", Path.unlink, "got no .*png"),
        ("png", lambda path: path.write_bytes(path.read_bytes()[:-20]), "got a picture that can't be read"),
        ("png", lambda path: Image.new("RGB", (80, 60)).save(path), "got another picture than its frame"),
        ("json", lambda path: path.write_bytes(path.read_bytes()[:-9]), "got a .json that can't be read"),
        ("json", _edit(label=7), "got a .json without all of a capture's facts"),
        ("json", _edit(picodigits="capture 9"), "got format 'capture 9', need 'capture 1'"),
        ("json", _edit(size=[8, 6]), "got size 8x6"),
        ("json", _edit(label="8"), "got the folder 7, need 8"),
        ("json", _edit(number=5), "got a .json of ada-20261121-193000-0005"),
    ],
)  # fmt: skip
def test_a_damaged_capture_is_told_by_name_and_left_out(
    folder: Path, frames: np.ndarray, suffix: str, damage: Callable[[Path], None], told: str
) -> None:
    broken = save(folder, frames[0])
    save(folder, frames[1])
    damage(folder / f"{broken.name}.{suffix}")
    loaded = captures.load(folder)
    assert [item.number for item in loaded] == [2]
    (text,) = loaded.damaged
    assert text.startswith(f"{broken.name}: ")
    assert re.search(told, text), text
    assert captures.set_aside(folder, broken.name) == f"set-aside/{broken.stem}"  # what the message proposes
    assert captures.load(folder).damaged == ()


def test_whatever_happens_to_the_files_a_capture_is_whole_or_told(folder: Path, frames: np.ndarray) -> None:
    """Bytes changed, cut, doubled at random in any of the three files: never another frame or label, never a crash."""
    item = save(folder, frames[0], read="3", settings={"FLIP_X": "1"})
    whole = {suffix: (folder / f"{item.name}.{suffix}").read_bytes() for suffix in ("rgb565", "png", "json")}
    rng = np.random.default_rng(4)
    told = 0
    for _ in range(300):
        suffix = ("rgb565", "png", "json")[rng.integers(3)]
        data = bytearray(whole[suffix])
        at = int(rng.integers(len(data)))
        match rng.integers(4):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                del data[at:]
            case 2:
                data[at:at] = data[:at]
            case _:
                data[at : at + 8] = rng.bytes(8)
        (folder / f"{item.name}.{suffix}").write_bytes(bytes(data))
        found = captures.scan(folder)
        assert len(found) + len(found.damaged) <= 1
        told += len(found.damaged)
        for loaded in found:
            assert np.array_equal(loaded.frame, frames[0])
            assert (loaded.label, loaded.session, loaded.number) == ("7", SESSION, 1)
        (folder / f"{item.name}.{suffix}").write_bytes(whole[suffix])
    assert told > 200
    deep = folder / f"{item.name}.json"
    deep.write_text("[" * 100_000)
    assert "got a .json that can't be read" in captures.scan(folder).damaged[0]


def test_a_folder_of_damaged_captures_alone_names_them(folder: Path, frames: np.ndarray) -> None:
    broken = save(folder, frames[0])
    _flip(folder / f"{broken.name}.rgb565")
    assert captures.is_folder(folder)
    with pytest.raises(DatasetError, match=f"got no whole capture.* Damaged: {broken.name}: got SHA-256"):
        captures.load(folder)


def test_files_of_other_programs_are_passed_over(folder: Path, frames: np.ndarray) -> None:
    save(folder, frames[0])
    (folder / "7" / "notes.json").write_text("{}")
    (folder / "7" / f"{SESSION}-0009.json").write_text('{"somebody": "else"}')
    (folder / "readme.txt").write_text("mine")
    assert len(captures.load(folder)) == 1
    captures.sweep(folder, older_than_s=-1)
    assert {"readme.txt", "7/notes.json", f"7/{SESSION}-0009.json"} < files(folder)


# --- crashes ----------------------------------------------------------------------------------------------


class Crash(BaseException):
    """Like a power cut: nothing may catch it."""


def test_a_crash_at_any_moment_leaves_no_capture_or_a_whole_one(
    folder: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call that changes the disk is the last one in turn; the cleaning up after it is not done either."""
    before = save(folder, frames[0])
    calls = 0
    left = 10**9

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal calls, left
            calls += 1
            if left <= 0:
                raise Crash
            left -= 1
            return real(*arguments, **more)

        return call

    outcomes = set()
    with monkeypatch.context() as patch:
        for target, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "open")):
            patch.setattr(target, name, dying(getattr(target, name)))
        moments = 0
        while True:
            left = moments
            moments += 1
            try:
                save(folder, frames[1])
            except Crash:
                died = True
            else:
                died = False
            left = 10**9
            loaded = captures.load(folder)
            assert loaded.damaged == ()
            outcomes.add(len(loaded) - 1)
            captures.sweep(folder, older_than_s=-1)
            assert len(files(folder)) == 3 * len(loaded)
            for item in loaded:
                if item.stem != before.stem:
                    captures._delete(folder / f"{item.name}.json")
            if not died:
                break
    assert moments > 8
    assert outcomes == {0, 1}


def test_a_move_that_crashes_neither_loses_the_capture_nor_counts_it_twice(
    folder: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = save(folder, frames[0])
    for change in (
        lambda: captures.relabel(folder, item.stem, "1"),
        lambda: captures.set_aside(folder, item.stem),
        lambda: captures.relabel(folder, item.stem, "7"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(captures, "_delete", lambda path: (_ for _ in ()).throw(Crash))
            with pytest.raises(Crash):
                change()
        found = captures.scan(folder).items + captures.scan(folder, set_aside=True).items
        newest = max(found, key=lambda each: each.revision)
        counted = captures.scan(folder).items
        assert [each.name for each in counted] == ([] if newest.reason else [newest.name])
        captures.sweep(folder, older_than_s=-1)
        assert files(folder) == {f"{newest.name}.{suffix}" for suffix in ("rgb565", "png", "json")}
    assert captures.load(folder).labels == ("7",)


def test_the_sweep_leaves_young_files_to_those_who_write_them(folder: Path, frames: np.ndarray) -> None:
    item = save(folder, frames[0])
    (folder / f"{item.name}.json").unlink()
    part = folder / "7" / f".{SESSION}-0002.png.0a1b2c3d.part"
    part.write_bytes(b"x")
    assert captures.sweep(folder) == []
    for path in (folder / f"{item.name}.rgb565", part):
        os.utime(path, (0, 0))
    assert len(captures.sweep(folder)) == 2
    assert files(folder) == set()


def test_a_full_disk_leaves_what_was_saved_and_nothing_of_the_rest(
    folder: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = save(folder, frames[0])
    for room in range(3):
        left = room

        def fsync(handle: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            with pytest.raises(DatasetError, match=r"got No space left on device, need a folder .* with room"):
                save(folder, frames[1])
        assert files(folder) == {f"{saved.name}.{suffix}" for suffix in ("rgb565", "png", "json")}


@pytest.mark.skipif(os.name != "posix", reason="no limits on file sizes")
def test_a_disk_that_takes_no_more_bytes_leaves_no_part_of_a_capture(folder: Path, frames: np.ndarray) -> None:
    """The system itself refuses the write in the middle of the raw bytes, in a process of its own."""
    import resource

    np.save(folder.with_suffix(".npy"), frames[0])
    code = (
        "import sys, numpy as np\nfrom picodigits import captures\n"
        "try:\n"
        f"    captures.save(sys.argv[1], np.load(sys.argv[2]), label='7', writer='ada', session='{SESSION}')\n"
        "except captures.DatasetError as error:\n    print(error)\n"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(folder.with_suffix(".npy"))],
        capture_output=True, text=True, preexec_fn=limit, timeout=60, check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert "File too large" in done.stdout
    assert "need a folder that can be written, with room" in done.stdout
    assert files(folder) == set()


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path, frames: np.ndarray) -> None:
    (tmp_path / "captures").write_text("a file")
    with pytest.raises(DatasetError, match=r"need a folder that can be written"):
        save(tmp_path / "captures", frames[0])


# --- the same again ---------------------------------------------------------------------------------------


def test_inks_differ_by_nothing_from_themselves_and_wholly_from_what_shares_no_ink() -> None:
    a = np.zeros((16, 16), np.uint8)
    b = np.zeros((16, 16), np.uint8)
    a[:4], b[8:12] = 200, 255
    assert captures.difference(a, a) == 0
    assert captures.difference(a, b) == 1
    assert captures.difference(np.stack([a, b]), a).tolist() == [0, 1]
    assert captures.difference(np.zeros_like(a), np.zeros_like(a)) == 0


def noisy(frame: np.ndarray, seed: int) -> np.ndarray:
    """The same sheet, a moment later."""
    from picodigits.frames import decode, encode

    rgb = decode(frame) + np.random.default_rng(seed).normal(0, 2, (*frame.shape, 3))
    return encode(rgb.clip(0, 255).astype(np.uint8))


def test_the_sieve_finds_the_same_sheet_again_but_not_another_writers_digit(frames: np.ndarray) -> None:
    same = other = 0
    for digit in range(10):
        first = captures.Capture(f"{digit}/x", str(digit), "ada", SESSION, 1, frames[2 * digit])
        sieve = captures.Sieve([first])
        reason = sieve.reason(noisy(frames[2 * digit], digit), str(digit), "ada")
        same += reason.startswith(f"nearly the same as {digit}/x (differs by 0.0")
        other += sieve.reason(frames[2 * digit + 1], str(digit), "ada") == ""
        assert sieve.reason(frames[2 * digit], str(digit), "bob") == ""  # somebody else's
    assert (same, other) == (10, 10)


def test_the_sieve_tells_a_frame_without_a_whole_digit(frames: np.ndarray) -> None:
    blank = np.full((60, 80), 0xFFFF, np.uint16)
    sieve = captures.Sieve()
    assert sieve.reason(blank, "7", "ada") == "no whole digit: nothing there"
    assert sieve.reason(np.zeros_like(blank), "7", "ada") == "no whole digit: too dark"
    assert sieve.reason(frames[0], "7", "ada") == ""


def test_for_no_digit_the_sieve_wants_what_has_none_and_compares_pictures(frames: np.ndarray) -> None:
    blank = np.full((60, 80), 0xFFFF, np.uint16)
    sieve = captures.Sieve([captures.Capture("none/x", captures.NONE, "ada", SESSION, 1, blank)])
    assert sieve.reason(blank, captures.NONE, "ada").startswith("nearly the same as none/x")
    assert sieve.reason(frames[0], captures.NONE, "ada") == ""


# --- reviewing --------------------------------------------------------------------------------------------


def test_a_capture_gets_another_label_and_moves_there(folder: Path, frames: np.ndarray) -> None:
    item = save(folder, frames[0], "7", read="1", model="fast")
    moved = captures.relabel(folder, item.name, "1")
    assert moved.name == f"1/{item.stem}"
    (loaded,) = captures.load(folder)
    assert (loaded.label, loaded.model, loaded.revision) == ("1", "fast", 1)
    assert np.array_equal(loaded.frame, frames[0])
    assert files(folder) == {f"1/{item.stem}.{suffix}" for suffix in ("rgb565", "png", "json")}
    with pytest.raises(DatasetError, match="got the label 1, which it has"):
        captures.relabel(folder, item.stem, "1")
    with pytest.raises(DatasetError, match=f"got the name {item.stem[:-1]}9, .* Did you mean {item.stem}"):
        captures.relabel(folder, f"{item.stem[:-1]}9", "3")


def test_what_was_set_aside_is_not_lost_and_can_come_back(folder: Path, frames: np.ndarray) -> None:
    item = save(folder, frames[0])
    save(folder, frames[1])
    assert captures.set_aside(folder, item.stem) == f"set-aside/{item.stem}"
    assert len(captures.load(folder)) == 1
    (aside,) = captures.load(folder, set_aside=True)
    assert (aside.reason, aside.label) == ("removed by hand", "7")
    captures.relabel(folder, item.stem, "7")
    assert len(captures.load(folder)) == 2
    assert len(captures.load(folder, set_aside=True)) == 0


# --- to and from others -----------------------------------------------------------------------------------


def test_an_export_comes_back_bit_for_bit(folder: Path, frames: np.ndarray, tmp_path: Path) -> None:
    for number, (label, more) in enumerate(
        (("7", {}), ("a/b", {"transpose": True}), ("none", {"settings": {"FLIP_X": "1"}, "read": "4"}))
    ):
        save(folder, frames[2 * number], label, model="fast", status="found", confidence=5, **more)
    table = captures.export(captures.load(folder), tmp_path / "out")
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["7", "a/b", "none"]
    assert all((tmp_path / "out" / row["file"]).is_file() for row in rows)
    done = captures.import_folder(tmp_path / "out", tmp_path / "again")
    assert (len(done.saved), done.aside) == (3, ())
    again = captures.import_folder(tmp_path / "out", tmp_path / "again")
    assert (len(again.saved), len(again.aside)) == (0, 3)
    before, after = (
        sorted(captures.load(place), key=lambda item: item.number) for place in (folder, tmp_path / "again")
    )
    for a, b in zip(before, sorted(after, key=lambda item: item.label), strict=True):
        assert np.array_equal(a.frame, b.frame)
        for name in ("label", "writer", "session", "time", "model", "read", "confidence", "transpose", "settings"):
            assert getattr(a, name) == getattr(b, name), name
    with pytest.raises(DatasetError, match="got something there, need a new or an empty folder"):
        captures.export(captures.load(folder), tmp_path / "out")


def test_an_export_is_a_dataset_for_train(folder: Path, frames: np.ndarray, tmp_path: Path) -> None:
    for number in range(10):
        save(folder, frames[number], "7" if number % 2 else "3")
    captures.export(captures.load(folder), tmp_path / "out")
    dataset = datasets.load(f"folder:{tmp_path / 'out'}", "all")
    assert dataset.class_names == ("3", "7")
    assert dataset.counts.tolist() == [5, 5]


def test_pictures_of_anybody_are_imported_as_one_session(folder: Path, frames: np.ndarray, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    for label, index in (("3", 6), ("3", 7), ("4", 8)):
        (source / label).mkdir(parents=True, exist_ok=True)
        picture = captures.Capture("", label, "", "", 0, frames[index]).picture(4)
        picture.save(source / label / f"{index}.jpg", quality=95)
    Image.new("RGB", (640, 480), "white").save(source / "4" / "blank.png")
    with pytest.raises(DatasetError, match=r"got 4 pictures without a writer.* --writer"):
        captures.import_folder(source, folder)
    assert not folder.exists()
    done = captures.import_folder(source, folder, "Eve")
    assert [name.split("/")[0] for name in done.saved] == ["3", "3", "4"]
    assert len(done.aside) == 1
    loaded = captures.load(folder)
    assert set(loaded.writers) == {"Eve"}
    assert len(set(loaded.sessions)) == 1
    assert captures.load(folder, set_aside=True)[0].reason == "no whole digit: nothing there"
    again = captures.import_folder(source, folder, "Eve")
    assert (len(again.saved), len(again.aside)) == (0, 4)  # the same again


def test_a_table_that_is_broken_is_told_before_anything_is_saved(
    folder: Path, frames: np.ndarray, tmp_path: Path
) -> None:
    save(folder, frames[0])
    table = captures.export(captures.load(folder), tmp_path / "out")
    text = table.read_text()
    for broken, told in (
        (text.replace("writer", "author"), "got no column writer"),
        (text.replace(SESSION + ",", "monday,"), "got session 'monday'"),
        (text.replace(SESSION + ",", f"../../{SESSION},"), "got session '../../ada"),
        (text.replace(",ada,", ",,"), "writer: got ''"),
    ):
        table.write_text(broken)
        with pytest.raises(DatasetError, match=told):
            captures.import_folder(tmp_path / "out", tmp_path / "again")
        assert not (tmp_path / "again").exists()


# --- evaluating and reading them --------------------------------------------------------------------------


def test_captures_are_evaluated_as_they_were_taken(folder: Path, frames: np.ndarray) -> None:
    for digit in range(10):
        save(folder, frames[2 * digit], str(digit))
    save(folder, frames[1], "0", transpose=True)
    save(folder, np.full((60, 80), 0xFFFF, np.uint16), "none")
    sets = evaluation.held_out([f"captures:{folder}"], (), tuple("0123456789"))
    assert [(part.level, part.kind, len(part.labels)) for part in sets] == [
        ("as taken", "", 10), ("as taken", "", 1), ("as taken", "none", 1)
    ]  # fmt: skip
    from picodigits import modelfile
    from picodigits.executors import NumpyExecutor

    model = modelfile.find("article")
    for part, result in zip(sets, evaluation.evaluate([model], sets)[0], strict=True):
        made = captures.upright_inks(part.images, model.preprocess_id, (12, 12), part.transpose)
        assert np.array_equal(result.scores, NumpyExecutor(model).scores(made.inks))


# --- the verbs --------------------------------------------------------------------------------------------


def picodigits(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """What a command line says, that goes well."""
    capsys.readouterr()
    status = cli.main([str(word) for word in words])
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")
    return said.out


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    capsys.readouterr()
    assert cli.main([str(word) for word in words]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    return said.err


@pytest.fixture
def reviewed(folder: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten captures, of which the board misread one and declined one; review.png goes to an empty folder."""
    for digit in range(10):
        read = {1: "7", 4: ""}.get(digit, str(digit))
        save(folder, frames[2 * digit], str(digit), read=read, confidence=91, status="found", model="fast")
    monkeypatch.chdir(folder.parent)
    return folder


def test_review_makes_a_contact_sheet_that_marks_what_was_misread(
    capsys: pytest.CaptureFixture[str], reviewed: Path
) -> None:
    out = picodigits(capsys, "data", "review", reviewed)
    assert re.search(rf"{SESSION}-0002 .* 1 .* 7, 91 %", out)
    assert re.search(rf"{SESSION}-0005 .* 4 .* declined", out)
    assert f"{SESSION}-0001" not in out
    with Image.open("review.png") as sheet:
        orange = (np.asarray(sheet) == (213, 94, 0)).all(-1)
    assert 2 * 160 * 3 * 2 < orange.sum() < 2 * 2000  # the frames of two pictures, and some letters
    assert sheet.height > 10 * 120


def test_review_puts_labels_right_takes_out_and_takes_back(capsys: pytest.CaptureFixture[str], reviewed: Path) -> None:
    out = picodigits(
        capsys, "data", "review", reviewed, "--relabel", f"{SESSION}-0002=7", "--remove", f"4/{SESSION}-0005"
    )
    assert f"{SESSION}-0002 is now 7/{SESSION}-0002" in out
    assert f"4/{SESSION}-0005 is now set-aside/{SESSION}-0005" in out
    assert captures.load(reviewed).labels.count("7") == 2
    assert "removed by hand" in picodigits(capsys, "data", "review", reviewed, "--set-aside")
    picodigits(capsys, "data", "review", reviewed, "--relabel", f"{SESSION}-0005=4")
    assert "4" in captures.load(reviewed).labels
    assert "Nothing in" in picodigits(capsys, "data", "review", reviewed, "--set-aside")
    assert "need NAME=LABEL" in refused(capsys, "data", "review", reviewed, "--relabel", "x")
    assert "got the name x" in refused(capsys, "data", "review", reviewed, "--remove", "x")


def test_review_lets_another_model_read_them_again(capsys: pytest.CaptureFixture[str], reviewed: Path) -> None:
    best = picodigits(capsys, "data", "review", reviewed, "--model", "best")
    assert f"{SESSION}-0002" not in best  # it reads the 1 right


def test_export_and_import_are_verbs(capsys: pytest.CaptureFixture[str], reviewed: Path) -> None:
    assert "10 captures exported" in picodigits(capsys, "data", "export", f"captures:{reviewed}", "--out", "shared")
    assert "10 captures saved in again, 0 set aside" in picodigits(capsys, "data", "import", "shared", "--out", "again")
    assert "got no folder of captures, need captures:FOLDER" in refused(
        capsys, "data", "export", "mnist", "--out", "elsewhere"
    )


def test_check_counts_captures_and_names_what_is_damaged(capsys: pytest.CaptureFixture[str], reviewed: Path) -> None:
    assert "ok  captures: 10 by ada; sittings: 1" in picodigits(capsys, "data", "check", f"captures:{reviewed}")
    _flip(reviewed / "3" / f"{SESSION}-0004.rgb565")
    capsys.readouterr()
    assert cli.main(["data", "check", f"captures:{reviewed}"]) == 1
    assert f"BAD damaged: 3/{SESSION}-0004: got SHA-256" in capsys.readouterr().out
    told = picodigits(capsys, "evaluate", "article", "--data", f"captures:{reviewed}")
    assert f"Left out: 3/{SESSION}-0004: got SHA-256" in told
    assert re.search(r"as taken .* 9 ", told)


def test_classify_reads_captures_once_each(capsys: pytest.CaptureFixture[str], reviewed: Path) -> None:
    out = picodigits(capsys, "classify", reviewed, "--model", "tiny")
    for digit in range(10):
        assert out.count(f"{digit}/{SESSION}-{digit + 1:04}") == 1
    assert picodigits(capsys, "classify", reviewed / "3", "--model", "tiny").count(SESSION) == 1


def test_classify_turns_what_a_camera_on_its_side_saw(folder: Path, frames: np.ndarray) -> None:
    save(folder, frames[0], "0")
    save(folder, np.ascontiguousarray(frames[2]), "1", transpose=True)
    seen = captures.load_frames(folder)
    assert seen.transpose.tolist() == [False, True]
    made = captures.upright_inks(seen.frames, preprocess.FIND, (16, 16), seen.transpose)
    assert np.array_equal(made.inks[1], make_inks(frames[2:3], preprocess.FIND, (16, 16)).inks[0].T)


@pytest.mark.parametrize("words", [("data", "show", "captures:X"), ("data", "show", "folder:X")])
def test_captures_where_pictures_belong_say_where_they_belong(
    capsys: pytest.CaptureFixture[str], reviewed: Path, words: tuple[str, ...]
) -> None:
    told = refused(capsys, *(word.replace("X", str(reviewed)) for word in words))
    assert f"picodigits data review {reviewed}" in told or f"Name it captures:{reviewed}" in told


def test_the_figures_in_the_document_are_those_of_the_benchmark() -> None:
    root = Path(__file__).parent.parent
    text = (root / "docs" / "capture.md").read_text("utf-8")
    with (root / "benchmarks" / "captures.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cells: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        cells.setdefault((row["figure"], row["what"]), []).append(f"{row['median']}, {row['low']} to {row['high']}")
    assert len(cells) == 9
    for (_, what), figures in cells.items():
        assert f" | {' | '.join(figures)} |" in text, what
