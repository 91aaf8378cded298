"""What is measured on, and the figures: held-out frames -> readings -> accuracy, coverage, calibration."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picodigits import camera, datasets, evaluation, modelfile, report, writers
from picodigits.errors import DatasetError, FrameError, PicodigitsError, TrainingError
from picodigits.evaluation import Evaluation, HeldOut
from picodigits.executors import NumpyExecutor
from picodigits.modelfile import DenseLayer
from picodigits.training import calibration
from picodigits_board import preprocess
from picodigits_board.modelfile import HEADER, HEADER_BYTES, Model

DIGITS = tuple("0123456789")


def digests(images: Iterable[NDArray[np.uint8]]) -> set[bytes]:
    return {hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest() for image in images}


def evaluated(labels: list[int], best: list[int], confidences: list[int], threshold: int = 0) -> Evaluation:
    """An evaluation as a model with that threshold would give it; a confidence of 0 stands for nothing found."""
    shown = np.array(confidences, np.uint8)
    names = np.array(best, np.int64)
    found = shown > 0
    decisions = np.where(found & (shown >= threshold), names, -1)
    statuses = np.where(found, preprocess.FOUND, preprocess.TOUCHES_EDGE).astype(np.uint8)
    scores = np.zeros((len(best), 10), np.int32)
    return Evaluation("x", "desk", "", np.array(labels, np.int64), names, decisions, shown, statuses, scores)


@pytest.fixture(scope="module")
def rejecting() -> Model:
    """A model with ten classes and a score for "no digit"; what it reads is nonsense."""
    rng = np.random.default_rng(2)
    layer = DenseLayer(rng.integers(-90, 90, (11, 256), dtype=np.int8), np.zeros(11, np.int32))
    return modelfile.parse(
        modelfile.pack(
            name="rejecting", preprocess_id=preprocess.FIND, ink_shape=(16, 16), labels="0123456789", layers=[layer],
            octave=150_000, min_confidence=25, rejects=True,
        )
    )  # fmt: skip


# --- what is measured on ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "strokes", pytest.param("mnist", marks=pytest.mark.mnist)])
def test_training_and_evaluation_share_no_image(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue("mnist_folder") if name == "mnist" else None
    train, test = (digests(datasets.load(name, split, folder).images) for split in ("train", "test"))
    assert len(test) > 700
    assert not train & test


def test_letters_and_scribbles_of_the_evaluation_are_none_of_the_training() -> None:
    for draw in (writers.letters, writers.scribbles):
        train, test = draw(300, seed=0, group="train"), draw(300, seed=0, group="test")
        assert not digests(train) & digests(test)
    glyphs = writers._GLYPHS
    assert not set(glyphs["train"]) & set(glyphs["test"])
    assert not set(glyphs["train"].values()) & set(glyphs["test"].values())
    assert not set(writers._SCRIBBLES["train"]) & set(writers._SCRIBBLES["test"])


def test_the_sets_are_test_splits_at_every_level_and_every_kind_of_no_digit() -> None:
    sets = evaluation.held_out(["digits", "strokes", evaluation.NO_DIGIT], [], DIGITS, limit=20)
    digits = [(part.source, part.level) for part in sets if not part.kind]
    assert digits == [(source, level) for source in ("digits", "strokes") for level in evaluation.LEVELS]
    for part in sets:
        if not part.kind:
            assert digests(part.images) <= digests(datasets.load(part.source, "test").images)
            assert len(part.labels) == 20
    kinds = {(part.kind, part.level): part for part in sets if part.kind}
    assert set(kinds) == {(kind, level) for kind in camera.NO_DIGIT for level in ("desk", "hard")}
    assert all(part.labels.tolist() == [-1] * 20 for part in kinds.values())
    np.testing.assert_array_equal(
        kinds["letters", "desk"].images, writers.letters(20, seed=evaluation.SEED, group="test")
    )


def test_part_of_a_dataset_is_always_the_same_part_with_every_class_in_it() -> None:
    strokes = datasets.load("strokes", "test")  # whose classes come in turn
    first, again = (evaluation.digits_of(strokes, ["desk"], limit=100)[0] for _ in range(2))
    np.testing.assert_array_equal(first.images, again.images)
    assert set(first.labels.tolist()) == set(range(10))
    assert len(evaluation.digits_of(strokes, ["desk"])[0].labels) == 2000


def test_frames_are_those_of_the_camera_whatever_chunk_is_asked_for() -> None:
    digits = datasets.load("digits", "test").images[:30]
    labels = np.zeros(30, np.int64)
    photographs = HeldOut("digits", "hard", digits, labels)
    np.testing.assert_array_equal(
        photographs.frames(10, 20), camera.photograph(digits, "hard", seed=evaluation.SEED)[10:20]
    )
    cut = HeldOut(evaluation.NO_DIGIT, "desk", digits, labels, "cut")
    whole = camera.no_digit("cut", 30, "desk", seed=evaluation.SEED, digits=digits)
    np.testing.assert_array_equal(cut.frames(10, 20), whole[10:20])


def test_no_recipe_takes_its_photographs_with_the_seeds_of_evaluation_or_calibration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from picodigits.training import recipes, renderings

    seeds: list[int] = []

    def note(rendering: renderings.Rendering, *_: object) -> renderings.Rendered:
        seeds.append(rendering.seed)
        return renderings.Rendered(np.zeros((1, *rendering.ink_shape), np.uint8), *np.zeros((2, 1), np.int64))

    monkeypatch.setattr(renderings, "inks_of", note)
    monkeypatch.setattr(writers, "letters", lambda *_, **__: np.zeros((1, 64, 64), np.uint8))
    monkeypatch.setattr(writers, "scribbles", lambda *_, **__: np.zeros((1, 64, 64), np.uint8))
    digits = datasets.load("digits", "train")
    for recipe in recipes.RECIPES.values():
        recipes.inks_of(recipe, [digits] * len(recipe.data), lambda *_: None, seed=1000)
    assert len(seeds) > 100
    assert max(seeds) < calibration.SEED < evaluation.SEED


@pytest.mark.parametrize(
    ("names", "levels", "message"),
    [
        (["digts"], [], "got 'digts'"),
        (["digits"], ["dusk"], "level: got 'dusk', need one of clean, studio, desk, hard, none. Did you mean desk?"),
        ([evaluation.NO_DIGIT], ["none"], "data: got no-digit alone, need frames of digits or a level of care"),
        (["frames:/no/such"], [], "/no/such: got no such folder, need one with a folder of frames a class"),
    ],
)
def test_what_cannot_be_measured_on_is_refused(names: list[str], levels: list[str], message: str) -> None:
    with pytest.raises((DatasetError, FrameError)) as caught:
        evaluation.held_out(names, levels, DIGITS)
    assert message in str(caught.value)


def test_datasets_of_other_classes_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"digits: got classes 0 1 2 .* need a b as in the model"):
        evaluation.held_out(["digits"], [], "ab")


def test_frames_already_taken_come_from_a_folder_a_class(tmp_path: Path) -> None:
    test = datasets.load("digits", "test")
    shown = {"3": camera.photograph(test.images[test.labels == 3][:4], "desk"), "none": camera.no_digit("blank", 2)}
    for name, pictures in shown.items():
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "frames.npy", pictures)
    digits, nothing = evaluation.held_out([f"frames:{tmp_path}"], [], DIGITS)
    assert (digits.labels.tolist(), digits.kind) == ([3, 3, 3, 3], "")
    assert (nothing.labels.tolist(), nothing.kind) == ([-1, -1], "none")
    np.testing.assert_array_equal(digits.frames(1, 3), shown["3"][1:3])
    (tmp_path / "cats").mkdir()
    with pytest.raises(DatasetError, match="got the folders cats, need some of 0, 1, 2"):
        evaluation.taken(tmp_path, DIGITS)
    (tmp_path / "cats").rmdir()
    np.save(tmp_path / "none" / "frames.npy", np.zeros((1, 120, 160), np.uint16))
    with pytest.raises(DatasetError, match="frames of several sizes"):
        evaluation.taken(tmp_path, DIGITS)


# --- readings ---------------------------------------------------------------------------------------------


def test_readings_are_those_of_the_executor(rejecting: Model) -> None:
    sets = evaluation.held_out(["digits", evaluation.NO_DIGIT], ["hard"], DIGITS, limit=40)
    models = [modelfile.find("article"), rejecting]
    results = evaluation.evaluate(models, sets, jobs=1)
    for model, row in zip(models, results, strict=True):
        for part, result in zip(sets, row, strict=True):
            readings = NumpyExecutor(model).read(part.frames(0, 40))
            np.testing.assert_array_equal(result.best, readings.best)
            np.testing.assert_array_equal(result.decisions, readings.decisions)
            np.testing.assert_array_equal(result.confidences, readings.confidences)
            np.testing.assert_array_equal(result.scores, readings.scores)
            assert result.best.max() <= 9


def test_two_processes_read_what_one_does_and_tell_of_every_frame(
    monkeypatch: pytest.MonkeyPatch, rejecting: Model
) -> None:
    monkeypatch.setattr(evaluation, "_ALONE", 100)
    monkeypatch.setattr(evaluation.os, "cpu_count", lambda: 2)
    sets = evaluation.held_out(["digits"], ["studio", "desk"], DIGITS, limit=300)
    told: list[tuple[str, int, int]] = []
    (two,) = evaluation.evaluate([rejecting], sets, lambda *step: told.append(step), jobs=2)
    (one,) = evaluation.evaluate([rejecting], sets, jobs=1)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.scores, b.scores)
        np.testing.assert_array_equal(a.decisions, b.decisions)
    assert told[-1] == ("reading digits", 600, 600)


def test_without_a_camera_the_article_model_reads_665_of_719() -> None:
    sets = evaluation.held_out(["digits"], ["none"], DIGITS)
    ((result,),) = evaluation.evaluate([modelfile.find("article")], sets)
    assert round(result.accuracy * 719) == 665  # 92.49 %, the article's figure


# --- figures ----------------------------------------------------------------------------------------------


def test_declined_shown_wrong_and_the_reasons_are_counted() -> None:
    result = evaluated([0, 0, 1, 2, 2], [0, 1, 1, 2, 0], [90, 80, 40, 0, 95], threshold=50)
    assert result.accuracy == 0.6
    assert result.declined == 0.4
    assert result.wrong == 0.4
    assert result.reasons == {"unsure": 1, "touches the edge": 1}
    assert result.confusion(3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]


def test_coverage_is_what_each_threshold_would_show(rejecting: Model) -> None:
    sets = evaluation.held_out(["digits"], ["hard"], DIGITS, limit=300)
    ((result,),) = evaluation.evaluate([rejecting], sets)
    curve = result.coverage()
    assert (curve.covered[0], curve.accurate[0]) == (1.0, result.accuracy)
    compared = 0
    for threshold in (1, 10, 20, 25, 30, 35, 40, 50, 60):
        other = modelfile.parse(calibration.with_decision(rejecting, rejecting.octave, threshold))
        decisions = evaluation.evaluate([other], sets)[0][0].decisions
        shown = decisions >= 0
        assert curve.covered[threshold] == shown.mean()
        if shown.any():
            assert curve.accurate[threshold] == (decisions == result.labels)[shown].mean()
            compared += 0 < shown.mean() < 1
    assert compared >= 2


def test_the_area_is_the_mean_accuracy_over_all_coverages() -> None:
    sorted_well = evaluated([1, 1, 1, 1], [1, 1, 0, 0], [90, 80, 20, 10]).coverage()
    # From the left: 1 up to a coverage of a half, then 2/3 at three quarters and 1/2 at the end.
    assert sorted_well.area == pytest.approx(0.5 + 0.25 * (1 + 2 / 3) / 2 + 0.25 * (2 / 3 + 1 / 2) / 2)
    sorted_badly = evaluated([1, 1, 1, 1], [0, 0, 1, 1], [90, 80, 20, 10]).coverage()
    assert sorted_badly.area < 0.3
    assert evaluated([1, 1], [1, 1], [60, 70]).coverage().area == 1


def test_a_true_confidence_has_no_calibration_error_and_a_false_one_has_its_distance() -> None:
    right = [1] * 8 + [0] * 2
    true = evaluated([1] * 10, right, [80] * 10).reliability()
    assert true.counts.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 10, 0]
    assert true.error == pytest.approx(0)
    assert evaluated([1] * 10, right, [100] * 10).reliability().error == pytest.approx(0.2)
    assert evaluated([1] * 20, right * 2, [80] * 10 + [100] * 10).reliability().error == pytest.approx(0.1)
    unfound = evaluated([1] * 12, [*right, 1, 1], [80] * 10 + [0] * 2).reliability()
    assert int(unfound.counts.sum()) == 10


def test_levels_are_put_together_over_the_sources() -> None:
    parts = [evaluated([1, 1], [1, 0], [60, 70]), evaluated([2, 2], [2, 2], [60, 70])]
    together = evaluation.by_level(parts)["desk"]
    assert (len(together.labels), together.accuracy) == (4, 0.75)
    assert evaluation.confusion(parts, 3).tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 2]]


def test_figures_and_pictures_are_saved_over_older_ones_and_over_nothing_else(tmp_path: Path, rejecting: Model) -> None:
    sets = evaluation.held_out(["digits", evaluation.NO_DIGIT], ["desk"], DIGITS, limit=30)
    (results,) = evaluation.evaluate([rejecting], sets)
    for _ in range(2):
        report.need_evaluation_places(tmp_path, None)
        written = report.save_evaluation(rejecting, results, tmp_path)
    assert sorted(path.name for path in written) == [
        "calibration.png", "confusion.png", "coverage.png", "report.json",
    ]  # fmt: skip
    for path in written[:-1]:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
    facts = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert facts["crc32"] == f"{struct.unpack('<I', bytes(rejecting.data[-4:]))[0]:08x}"
    digits = facts["sets"][0]
    assert digits["frames"] == 30
    assert digits["accuracy"] == results[0].accuracy
    assert sum(map(sum, digits["confusion"])) == 30
    assert {row["kind"] for row in facts["sets"][1:]} == set(camera.NO_DIGIT)
    (tmp_path / "report.json").write_text('{"mine": 1}')
    with pytest.raises(PicodigitsError, match="another kind"):
        report.need_evaluation_places(tmp_path, None)


# --- calibration ------------------------------------------------------------------------------------------


def test_the_octave_of_scores_that_obey_one_is_found(rng: np.random.Generator) -> None:
    scores = rng.normal(0, 3000, (4000, 10)).astype(np.int32)
    odds = 2.0 ** (scores / 1500)
    labels = np.array([rng.choice(10, p=row / row.sum()) for row in odds])
    assert 1300 < calibration.fit_octave(scores, labels) < 1700


def test_the_threshold_is_the_highest_that_declines_few_enough() -> None:
    one = np.arange(100, dtype=np.uint8)  # 0 to 99 %, one frame each
    assert calibration.fit_min_confidence([one]) == 1
    two = np.full(100, 80, np.uint8)
    two[:2] = (10, 60)
    assert calibration.fit_min_confidence([two]) == 60  # the second of a hundred would be 2 %
    assert calibration.fit_min_confidence([two, np.full(50, 80, np.uint8)]) == 80  # 1 % of both
    lost = np.zeros(100, np.uint8)
    assert calibration.fit_min_confidence([lost]) == 0


def test_calibrating_sees_no_test_image_and_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "FRAMES", 60)
    train = [datasets.load(name, "train") for name in ("digits", "strokes")]
    known = digests(train[0].images)
    seen = calibration.frames_for(train, True)
    for part in seen:
        if part.source == "digits":
            assert digests(part.images) <= known
        if not part.kind:
            assert set(part.labels.tolist()) == set(range(10))
    strokes = next(part for part in seen if part.source == "strokes")
    assert not digests(strokes.images) & (digests(train[1].images) | digests(datasets.load("strokes", "test").images))
    letters = next(part for part in seen if part.kind == "letters")
    assert digests(letters.images) <= digests(writers.letters(150, seed=calibration.SEED, group="train"))


def test_recalibrating_changes_the_octave_and_the_threshold_alone(
    monkeypatch: pytest.MonkeyPatch, rejecting: Model
) -> None:
    monkeypatch.setattr(calibration, "FRAMES", 400)
    monkeypatch.setattr(calibration, "NO_DIGIT_FRAMES", 10)
    train = [datasets.load("digits", "train")]
    data = bytes(rejecting.data)
    made = calibration.recalibrate(data, train)
    assert calibration.recalibrate(made, train) == made
    before, after = (struct.unpack(HEADER, part[:HEADER_BYTES]) for part in (data, made))
    assert [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [8, 9]
    assert made[HEADER_BYTES:-4] == data[HEADER_BYTES:-4]

    desk = next(part for part in calibration.frames_for(train, True) if part.level == "desk" and not part.kind)
    ((result,),) = evaluation.evaluate([modelfile.parse(made)], [desk])
    assert result.declined <= calibration.MAX_DECLINED


@pytest.mark.parametrize("name", modelfile.pretrained())
def test_a_shipped_model_is_repacked_to_the_byte(name: str) -> None:
    model = modelfile.find(name)
    assert calibration.with_decision(model, model.octave, model.min_confidence) == bytes(model.data)


def test_calibrating_with_other_classes_is_refused(rejecting: Model) -> None:
    digits = datasets.load("digits", "train")
    shapes = datasets.Dataset("shapes", digits.images[:2], np.array([0, 1]), ("circle", "square"), "")
    with pytest.raises(TrainingError, match="shapes: got classes circle square, need 0 1 2"):
        calibration.recalibrate(bytes(rejecting.data), [shapes])
