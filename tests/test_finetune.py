"""Captures -> a model that learned a handwriting: measured on what it did not learn, and never worse in silence."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from picodigits import camera, captures, cli, datasets, modelfile, writers
from picodigits.captures import Capture, Captures
from picodigits.errors import DatasetError, TrainingError
from picodigits.evaluation import AS_TAKEN
from picodigits.executors import NumpyExecutor
from picodigits.frames import LARGE
from picodigits.training import calibration, finetune
from picodigits.training.architectures import Schedule

pytest.importorskip("torch")  # of the extra "train"

from picodigits.training import quantised

ROOT = Path(__file__).parent.parent
TINY = modelfile.find("tiny")


@pytest.fixture(autouse=True, scope="module")
def little() -> Iterator[None]:
    """All as ever, but less of it: a training takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (finetune, "_REHEARSED", 1000), (finetune, "_VARIED", 1000), (finetune, "_MEASURED", 300),
            (finetune, "_MEASURED_OF_NONE", 20), (calibration, "FRAMES", 200), (calibration, "NO_DIGIT_FRAMES", 10),
            (finetune, "MAX_LOST", 0.05),  # so little rehearsal keeps less
            (finetune, "_SCHEDULE", Schedule(epochs=0, integer_epochs=5, batch=64)),
        ):  # fmt: skip
            patch.setattr(module, name, value)
        yield


def of_sitting(labels: Sequence[int], day: int, **kinds: Any) -> list[Capture]:
    """Captures of one sitting of the writer whose 1s, 4s and 7s are misread, in this order."""
    frames = camera.photograph(writers.own_hand(labels, seed=day), "desk", seed=day, **kinds)
    return [
        Capture(
            name="", label=str(label), writer="marie", session=f"marie-2026110{day}-180000", number=100 * day + i,
            frame=frame, time=f"2026-11-0{day}T18:00:00+00:00",
        )
        for i, (label, frame) in enumerate(zip(labels, frames, strict=True))
    ]  # fmt: skip


def together(*parts: list[Capture]) -> Captures:
    """As `captures.load` gives them: by label, then by number."""
    items = sorted((item for part in parts for item in part), key=lambda item: (item.label, item.number))
    return Captures(Path("mine"), tuple(items))


@pytest.fixture(scope="module")
def marie() -> Captures:
    """Eight 1s, 4s and 7s in each of three sittings."""
    return together(*(of_sitting([1, 4, 7] * 8, day) for day in (1, 2, 3)))


@pytest.fixture(scope="module")
def digits() -> list[datasets.Dataset]:
    """Training and test split."""
    return [datasets.load("digits", "train"), datasets.load("digits", "test")]


def tuned(taken: Captures, digits: list[datasets.Dataset]) -> finetune.Tuned:
    return finetune.tune(TINY, taken, digits[:1], digits[1:], jobs=1)


# --- the writer -------------------------------------------------------------------------------------------


def test_one_writers_ones_fours_and_sevens_are_misread_and_nothing_else() -> None:
    labels = np.repeat(np.arange(10), 20)
    frames = camera.photograph(writers.own_hand(labels, seed=9), "desk", seed=9)
    readings = NumpyExecutor(modelfile.find("fast")).read(frames)
    shown = [float((readings.decisions == labels)[labels == digit].mean()) for digit in range(10)]
    assert max(shown[digit] for digit in (1, 4, 7)) < 0.7
    assert min(shown[digit] for digit in (0, 2, 3, 5, 6, 8, 9)) > 0.8


def test_a_picture_of_one_writer_depends_on_its_own_number_alone() -> None:
    whole = writers.own_hand([1, 4, 7, 1], seed=5)
    np.testing.assert_array_equal(writers.own_hand([7, 1], seed=5, first=2), whole[2:])
    assert (whole[0] != whole[3]).any()
    assert (writers.own_hand([1], seed=6) != whole[0]).any()
    assert (writers.digits([1], seed=5) != whole[0]).any()
    with pytest.raises(DatasetError, match=r"need .* whole numbers from 0 to 9"):
        writers.own_hand([10], seed=5)


# --- where it starts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny", "fast", "best"])
def test_before_any_step_the_network_gives_the_scores_of_the_model_file_bit_for_bit(name: str) -> None:
    model = modelfile.find(name)
    rng = np.random.default_rng(1)
    inks = rng.integers(0, 256, (300, 16, 16), np.uint8)
    inks[100:] *= rng.random((200, 16, 16)) < 0.25  # most of an ink is paper
    inks[200:] |= (rng.random((100, 16, 16)) < 0.5).astype(np.uint8) * 255
    net = quantised.network_of(model)
    np.testing.assert_array_equal(net.scores(inks), NumpyExecutor(model).scores(inks))
    net.keep_narrow()
    again = modelfile.pack(
        name=model.name, preprocess_id=model.preprocess_id, ink_shape=(16, 16), labels=model.labels,
        layers=net.integer_layers(), octave=model.octave, min_confidence=model.min_confidence, rejects=model.rejects,
        ink_shift=model.ink_shift,
    )  # fmt: skip
    assert again == bytes(model.data)


def test_a_model_by_scikit_learn_is_refused_with_one_that_works(
    marie: Captures, digits: list[datasets.Dataset]
) -> None:
    with pytest.raises(TrainingError, match=r"article: got sums of more than 16 bits .* --base tiny, fast or best"):
        finetune.tune(modelfile.find("article"), marie, digits[:1], digits[1:])


def test_without_pytorch_it_says_what_to_install(
    marie: Captures, digits: list[datasets.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "picodigits.training.quantised", None)
    monkeypatch.delattr("picodigits.training.quantised")
    with pytest.raises(TrainingError, match=r"captures: got no PyTorch .* pip install picodigits\[train\]"):
        tuned(marie, digits)


# --- what is learned from and what is held out ------------------------------------------------------------


def sessions_of(taken: Captures, numbers: NDArray[np.int64]) -> set[tuple[str, str]]:
    return {(taken[int(i)].writer, taken[int(i)].session) for i in numbers}


def test_a_writers_last_sessions_are_held_out_whole(marie: Captures) -> None:
    other = [replace(item, writer="ada", session="ada-1") for item in of_sitting([1, 4, 7], 4)]
    taken = together(list(marie), other)
    parts = finetune.split(taken)
    assert sessions_of(taken, parts.held) == {("marie", "marie-20261103-180000")}
    assert not sessions_of(taken, parts.held) & sessions_of(taken, parts.learned)
    assert len(parts.learned) + len(parts.held) == len(taken)
    assert "1 session: marie-20261103-180000" in parts.how
    assert not parts.optimistic


def test_where_no_writer_has_two_sessions_whole_writers_are_held_out() -> None:
    people = [
        [replace(item, writer=f"writer {day}", session="s") for item in of_sitting([1, 4], day)] for day in range(1, 6)
    ]
    taken = together(*people)
    parts = finetune.split(taken)
    assert {writer for writer, _ in sessions_of(taken, parts.held)} == {"writer 5"}
    assert not parts.optimistic


@pytest.mark.parametrize("classes_apart", [False, True])
def test_the_end_of_the_only_session_is_held_out_and_said_to_be_optimistic(classes_apart: bool) -> None:
    taken = together(of_sitting([1] * 8, 1), of_sitting([4] * 8, 2 if classes_apart else 1))
    parts = finetune.split(taken)
    assert parts.optimistic
    assert ("different classes" if classes_apart else "one session") in parts.how
    for label in ("1", "4"):
        mine = [i for i in range(16) if taken[i].label == label]
        numbers = [[taken[i].number for i in mine if i in side] for side in (parts.learned, parts.held)]
        assert [len(side) for side in numbers] == [5, 2]  # the one between them is like both
        assert max(numbers[0]) + 1 < min(numbers[1])


@pytest.mark.parametrize("size", [(60, 80), LARGE])
def test_variants_are_the_same_digit_held_otherwise(size: tuple[int, int]) -> None:
    labels = [0, 2, 3, 5, 6, 8] * 3
    frames = np.stack([item.frame for item in of_sitting(labels, 1, size=size)])
    made = [finetune.variants(frame, 6, seed=[1, i]) for i, frame in enumerate(frames)]
    again = finetune.variants(frames[0], 6, seed=[1, 0])
    np.testing.assert_array_equal(made[0], again)
    np.testing.assert_array_equal([views[0] for views in made], frames)
    flat = np.concatenate(made)
    assert len({views.tobytes() for views in flat}) == len(flat)
    readings = NumpyExecutor(modelfile.find("fast")).read(flat)
    assert (readings.best == np.repeat(labels, 6)).mean() > 0.9
    assert readings.inks.found.mean() > 0.85


# --- what comes of it -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned(marie: Captures, digits: list[datasets.Dataset]) -> finetune.Tuned:
    return tuned(marie, digits)


def test_a_writer_who_was_misread_is_read_and_the_others_still_are(learned: finetune.Tuned) -> None:
    before, after = learned.before[0], learned.after[0]
    assert (before.source, before.level, len(before.labels)) == (finetune.CAPTURED, AS_TAKEN, 24)
    assert before.accuracy < 0.5
    assert after.accuracy > 0.85
    assert learned.worse == []
    assert learned.after[1].accuracy > learned.before[1].accuracy - finetune.MAX_LOST
    assert [item.kind for item in learned.after] == ["", "", "none"]


def test_the_tuned_model_costs_the_board_what_its_base_costs(learned: finetune.Tuned) -> None:
    model = modelfile.parse(learned.data)
    assert modelfile.chain(model) == modelfile.chain(TINY)
    assert (model.file_bytes, model.ram_bytes) == (TINY.file_bytes, TINY.ram_bytes)
    assert modelfile.heap_bytes(model) == modelfile.heap_bytes(TINY)
    assert all(layer.narrow for layer in model.layers)
    assert [(layer.shift, layer.top) for layer in model.layers] == [(layer.shift, layer.top) for layer in TINY.layers]


def test_the_held_out_session_teaches_nothing_and_the_same_seed_gives_the_same_file(
    marie: Captures, digits: list[datasets.Dataset], learned: finetune.Tuned
) -> None:
    held = set(finetune.split(marie).held.tolist())
    noise = np.random.default_rng(0).integers(0, 1 << 16, (60, 80)).astype(np.uint16)
    others = [replace(item, frame=noise) if i in held else item for i, item in enumerate(marie)]
    assert tuned(replace(marie, items=tuple(others)), digits).data == learned.data


def test_wrong_labels_make_it_worse_and_that_is_told(marie: Captures, digits: list[datasets.Dataset]) -> None:
    nines = [of_sitting([3, 9] * 6, day) for day in (1, 2, 3)]
    swapped = {"3": "9", "9": "3"}
    wrong = [[replace(item, label=swapped[item.label]) for item in part] for part in nines[:2]]
    result = tuned(together(*wrong, nines[2]), digits)
    assert result.after[0].accuracy < result.before[0].accuracy
    assert any(text.startswith("captures, as taken: ") for text in result.worse)


def test_figures_that_flatter_and_captures_that_are_of_no_use_are_told(learned: finetune.Tuned) -> None:
    assert learned.notes == []
    assert learned.learned_from == "48 captures"
    assert all(not item.kind or item.level == finetune.LEVEL for item in learned.after)
    told = replace(learned, split=replace(learned.split, optimistic=True), left_out=2, after=learned.before)
    assert told.learned_from == "46 captures"
    assert [note.split()[:4] for note in told.notes] == [
        ["2", "captures", "left", "out:"], ["The", "figures", "for", "captures"], ["Nothing", "was", "gained", "on"],
    ]  # fmt: skip
    assert "optimistic" in told.notes[1]


def test_frames_without_a_digit_can_be_learned(digits: list[datasets.Dataset]) -> None:
    signs = writers.letters(60, seed=8, group="test")
    frames = camera.photograph(signs, "studio", seed=8)
    passes = NumpyExecutor(TINY).read(frames).decisions >= 0
    frames = np.concatenate([frames[passes]] * 4)[:16]  # what the model takes for digits, a few times
    nothing = [
        replace(item, label=captures.NONE, frame=frames[i % len(frames)])
        for day in (1, 2)
        for i, item in enumerate(of_sitting([1] * 8, day))
    ]
    ones = [of_sitting([0] * 6, day) for day in (1, 2)]
    result = tuned(together(*ones, nothing), digits)
    kinds = [(old, new) for old, new in zip(result.before, result.after, strict=True) if old.kind]
    assert (kinds[0][0].source, kinds[0][0].level) == (finetune.CAPTURED, AS_TAKEN)
    assert kinds[0][1].declined > kinds[0][0].declined


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda item: replace(item, label="star"), r"got captures of star, need 0 1 .* data export .* train mlp"),
        (lambda item: replace(item, frame=np.zeros_like(item.frame)), r"fewer than 3 frames of 1, 4, 7 to learn from"),
        (lambda item: replace(item, label=captures.NONE), r"fewer than 3 frames of any class"),
    ],
    ids=["another class", "no digit in them", "no digits at all"],
)
def test_captures_that_teach_nothing_are_refused_with_what_works(
    change: Callable[[Capture], Capture], told: str, marie: Captures, digits: list[datasets.Dataset]
) -> None:
    with pytest.raises(TrainingError, match=told):
        tuned(replace(marie, items=tuple(map(change, marie))), digits)


def test_known_handwriting_of_other_classes_is_refused(marie: Captures, digits: list[datasets.Dataset]) -> None:
    letters = datasets.Dataset("letters", digits[0].images, digits[0].labels, tuple("abcdefghij"), "")
    with pytest.raises(TrainingError, match=r"letters: got classes a b .*, need 0 1"):
        tuned(marie, [letters, letters])


# --- the command ------------------------------------------------------------------------------------------


def saved(taken: Captures, folder: Path) -> Path:
    for item in taken:
        facts = {name: getattr(item, name) for name in ("label", "writer", "session", "number", "transpose", "time")}
        captures.save(folder, item.frame, **facts)
    return folder


@pytest.fixture(scope="module")
def folder(marie: Captures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The captures on disk, of a camera that lies on its side."""
    upright = [np.pad(item.frame[:, 10:70], ((10, 10), (0, 0)), mode="edge") for item in marie]  # (80, 60)
    turned = [
        replace(item, frame=np.ascontiguousarray(view.T), transpose=True)
        for item, view in zip(marie, upright, strict=True)
    ]
    return saved(replace(marie, items=tuple(turned)), tmp_path_factory.mktemp("captures"))


def test_train_with_captures_writes_a_model_that_is_better_and_tells_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "--data", f"captures:{folder}", "--data", "digits", "--base", "tiny", "--out", "marie.pdm"]
    assert cli.main(words) == 0
    model = modelfile.read("marie.pdm")
    shown = capsys.readouterr().out
    assert model.name == "marie"
    assert "tiny learned from 48 captures, and went on with digits." in shown
    assert "Held out: 1 session: marie-20261103-180000." in shown
    assert "picodigits deploy --model marie.pdm" in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["marie.confusion.png", "marie.pdm"]
    third = captures.load(folder).where(lambda item: item.session.startswith("marie-20261103"))
    right = [
        sum(not item.misread for item in captures.read_again(third, modelfile.find(name)))
        for name in ("tiny", "marie.pdm")
    ]
    assert right[1] > right[0] + 6
    assert cli.main(words) == 1
    assert "got an existing file" in capsys.readouterr().err


def test_several_folders_of_captures_are_taken_together(tmp_path: Path) -> None:
    parts = [of_sitting([1, 4], day) for day in (1, 2)]
    names = [f"captures:{saved(together(part), tmp_path / str(i))}" for i, part in enumerate(parts)]
    taken = finetune.load_captures(names)
    assert [item.session for item in taken] == [item.session for part in parts for item in part]
    assert sessions_of(taken, finetune.split(taken).held) == {("marie", "marie-20261102-180000")}


def test_what_got_worse_is_not_written_unless_forced(
    folder: Path, tmp_path: Path, learned: finetune.Tuned, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    worse = replace(learned, before=learned.after, after=learned.before, worse=["captures: 1 % read right"])
    monkeypatch.setattr(finetune, "tune", lambda *_, **__: worse)
    words = ["train", "--data", f"captures:{folder}", "--data", "digits", "--base", "tiny"]
    assert cli.main(words) == 1
    assert "worse than tiny (captures: 1 % read right)" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert cli.main([*words, "--force"]) == 0
    assert (tmp_path / "mine.pdm").read_bytes() == learned.data


def test_ctrl_c_leaves_nothing_behind(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    old = b"an older model"
    (tmp_path / "mine.pdm").write_bytes(old)

    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(quantised, "tune_network", stopped)
    words = ["train", "--data", f"captures:{folder}", "--data", "digits", "--base", "tiny", "--force"]
    assert cli.main(words) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pdm"]
    assert (tmp_path / "mine.pdm").read_bytes() == old


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "fast", "--data", "captures:mine"], "got the recipe fast and captures, need one of them"),
        (["train", "--base", "fast"], "got the base fast without captures"),
        (["train", "--data", "captures:nowhere"], "nowhere: got no such folder"),
    ],
)
def test_lines_that_mix_things_up_say_what_was_meant(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 1
    assert told in capsys.readouterr().err


# --- the documents ----------------------------------------------------------------------------------------


def test_the_tables_of_the_document_are_those_of_the_benchmark() -> None:
    with (ROOT / "benchmarks" / "own_writer.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    text = (ROOT / "docs" / "retrain.md").read_text("utf-8")
    for name in ("tiny", "fast", "best"):
        crc = f"{int.from_bytes(modelfile.find(name).data[-4:], 'little'):08x}"
        assert {row["crc32"] for row in rows if row["model"] == name} == {crc}, f"{name}: measure again"
    figures = {(row["model"], row["each"], row["set"], row["written"]): row for row in rows}
    for (model, each, what, written), row in figures.items():
        if written != "all":
            continue
        if what == "later":
            pair = f"{row['right_before']} | {row['right_after']}"
            shown = f"{row['shown_right_before']} | {row['shown_right_after']}"
            known = figures[model, each, "mnist, desk", "all"]
            kept = f"{known['right_before']} | {known['right_after']}"
            line = f"| `{model}` | {2 * int(each)} | {pair} | {shown} | {kept} | {row['cpu_seconds']} s |"
            assert line in text, line
    for written in "0123456789":
        row = figures["fast", "24", "later", written]
        line = (
            f"| {written} | {row['right_before']} | {row['right_after']} | {row['shown_right_before']} |"
            f" {row['shown_right_after']} |"
        )
        assert line in text, line
