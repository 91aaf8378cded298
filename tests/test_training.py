"""dataset -> model file: fitting, quantising, calibrating."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from picodigits import camera, datasets, evaluation, modelfile
from picodigits.errors import TrainingError
from picodigits.executors import Inks, NumpyExecutor, make_inks
from picodigits.training import dense, recipes, renderings
from picodigits_board import preprocess


def quiet(stage: str, done: int, total: int) -> None:
    """No progress shown."""


def accuracy(data: bytes, test: datasets.Dataset, level: str) -> float:
    """Part of a test split that the model file reads right, declining switched off."""
    ((result,),) = evaluation.evaluate([modelfile.parse(data)], evaluation.digits_of(test, [level]))
    return result.accuracy


@pytest.fixture(scope="module")
def article() -> recipes.Trained:
    return recipes.train(recipes.RECIPES["article"], [datasets.load("digits", "train")], quiet)


def test_the_article_model_reads_665_of_719_before_and_after_quantising(article: recipes.Trained) -> None:
    test = datasets.load("digits", "test")
    inks = evaluation.resize(test.images, (12, 12))
    floats = article.estimator.predict(inks.reshape(len(inks), -1) / 255)
    assert int((floats == test.labels).sum()) == 665  # 92.49 %, the article's figure
    assert round(accuracy(article.data, test, evaluation.NO_CAMERA) * 719) == 665


def test_the_shipped_article_model_is_what_its_recipe_makes(article: recipes.Trained) -> None:
    shipped = modelfile.find("article")
    fresh = modelfile.parse(article.data)
    for a, b in zip(shipped.layers, fresh.layers, strict=True):
        size = a.weights
        difference = np.frombuffer(shipped.data, np.int8, size, a.weight_offset).astype(int) - np.frombuffer(
            fresh.data, np.int8, size, b.weight_offset
        )
        assert np.abs(difference).max() <= 1  # one step of rounding, between builds of the solver
    assert (shipped.preprocess_id, shipped.labels) == (fresh.preprocess_id, fresh.labels)


def test_training_twice_gives_the_same_file(article: recipes.Trained) -> None:
    again = recipes.train(recipes.RECIPES["article"], [datasets.load("digits", "train")], quiet)
    assert again.data == article.data


@pytest.mark.mnist
def test_the_articles_model_on_mnist_reads_91_percent(mnist_folder: Any) -> None:
    train, test = (datasets.load("mnist", split, mnist_folder) for split in ("train", "test"))
    trained = recipes.train(recipes.RECIPES["article-mnist"], [train], quiet)
    assert 0.910 < accuracy(trained.data, test, evaluation.NO_CAMERA) < 0.920


def test_a_hidden_layer_survives_quantising() -> None:
    test = datasets.load("digits", "test")
    train = datasets.load("digits", "train")
    estimator, layers = dense.fit_mlp(train.images, train.labels, quiet, hidden=24, epochs=60)
    data = modelfile.pack(
        name="small", preprocess_id=preprocess.FIND, ink_shape=(8, 8), labels=train.class_names,
        layers=layers, octave=100, min_confidence=0,
    )  # fmt: skip
    whole = NumpyExecutor(modelfile.parse(data)).scores(test.images).argmax(axis=1)
    floats = estimator.predict(test.images.reshape(len(test), -1) / 255)
    assert (floats == test.labels).mean() > 0.9
    assert (whole == floats).mean() > 0.985


def test_a_model_learns_from_simulated_photographs_and_reads_those_of_other_writers() -> None:
    recipe = replace(recipes.RECIPES["mlp"], data=("digits",), cares=("studio",), renderings=3)
    trained = recipes.train(recipe, [datasets.load("digits", "train")], quiet)
    studio = evaluation.digits_of(datasets.load("digits", "test"), ["studio"])
    ((result,),) = evaluation.evaluate([modelfile.parse(trained.data)], studio)
    assert result.accuracy > 0.80
    assert result.declined < 0.25
    assert result.wrong < 1 - result.accuracy + 1e-9


def test_shipped_models_read_desk_photographs_of_unseen_writers() -> None:
    test = datasets.load("digits", "test")
    read = {name: accuracy(modelfile.find(name).data, test, "desk") for name in ("tiny", "fast", "best")}
    assert read["tiny"] > 0.92
    assert read["fast"] > 0.94
    assert read["best"] > 0.95


def test_calibration_finds_the_octave_of_scores_that_obey_one(rng: np.random.Generator) -> None:
    scores = rng.normal(0, 3000, (4000, 10)).astype(np.int32)
    odds = 2.0 ** (scores / 1500)
    labels = np.array([rng.choice(10, p=row / row.sum()) for row in odds])
    octave, min_confidence = recipes.calibrate(scores, labels)
    assert 1200 < octave < 1900
    assert 0 < min_confidence < 60


def test_calibration_declines_no_more_than_two_percent_of_what_is_read_right(article: recipes.Trained) -> None:
    model = modelfile.parse(article.data)
    train = datasets.load("digits", "train")
    inks = evaluation.resize(train.images, (12, 12))
    executor = NumpyExecutor(model)
    frames_found = np.full(len(inks), preprocess.FOUND, np.uint8)
    readings = executor.decide(Inks(inks, frames_found, np.zeros((len(inks), 4), np.int16)))
    right = readings.best == train.labels
    assert (readings.decisions[right] < 0).mean() <= 0.02


def test_one_class_alone_is_refused() -> None:
    images, labels = np.zeros((5, 8, 8), np.uint8), np.zeros(5, np.int64)
    with pytest.raises(TrainingError, match="got 5 samples of 1 class, need two classes at least"):
        dense.fit_svm(images, labels, quiet)


def test_datasets_with_other_classes_are_refused() -> None:
    digits = datasets.load("digits", "train")
    shapes = datasets.Dataset("shapes", digits.images[:2], np.array([0, 1]), ("circle", "square"), "")
    with pytest.raises(TrainingError, match="shapes: got classes circle square, need 0 1 2"):
        recipes.train(recipes.RECIPES["article"], [digits, shapes], quiet)


def test_progress_is_told_from_start_to_end() -> None:
    seen: list[tuple[str, int, int]] = []
    recipe = replace(recipes.RECIPES["article"], cares=("studio",), preprocess_id=preprocess.FIND)
    recipes.train(recipe, [datasets.load("digits", "train")], lambda *step: seen.append(step))
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages == ["photographing digits, studio", "fitting LinearSVC", "reading digits"]
    for stage in stages:
        assert [step for step in seen if step[0] == stage][-1][1] > 0


def test_quantising_keeps_the_largest_weight_at_127() -> None:
    coef: NDArray[np.float64] = np.array([[0.5, -0.25], [0.1, 0.0]])
    layer = dense.quantise_last(coef, np.array([0.01, -0.02]), 255.0)
    assert layer.weights.tolist() == [[127, -64], [25, 0]]
    assert layer.biases.tolist() == [648, -1295]


def test_hidden_activations_fill_the_byte() -> None:
    train = datasets.load("digits", "train")
    X = train.images.reshape(len(train), -1) / 255
    estimator = MLPClassifier((16,), random_state=0, max_iter=5, n_iter_no_change=5, tol=0.0)
    for _ in range(5):
        estimator.partial_fit(X, train.labels, classes=np.arange(10))
    layers = dense.quantise_mlp(
        *(a for pair in zip(estimator.coefs_, estimator.intercepts_, strict=True) for a in pair), X
    )
    inks = train.images.reshape(len(train), -1).astype(np.int64)
    hidden = (inks @ layers[0].weights.T.astype(np.int64) + layers[0].biases + (1 << layers[0].shift >> 1)) >> layers[
        0
    ].shift
    assert 100 < np.quantile(hidden, 0.9995) <= 256


def test_neat_photographs_come_beside_the_others_and_make_no_more_frames_without_a_digit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[renderings.Rendering] = []

    def note(rendering: renderings.Rendering, *_: object) -> renderings.Rendered:
        taken.append(rendering)
        return renderings.Rendered(np.zeros((1, *rendering.ink_shape), np.uint8), *np.zeros((2, 1), np.int64))

    monkeypatch.setattr(renderings, "inks_of", note)
    digits = datasets.load("digits", "train")
    few = digits.take(np.arange(100))
    recipe = replace(recipes.RECIPES["tiny"], data=("digits",), renderings=2, neat=1, no_digit=0.5)
    recipes.inks_of(recipe, [few], quiet, fewest=600)
    shown = [(one.care, one.kind == "", one.frames) for one in taken]
    assert shown[:9] == [("wide", True, 100)] * 6 + [("neat", True, 100)] * 3
    assert all((care, digit) == ("wide", False) for care, digit, _ in shown[9:])
    assert sum(frames for *_, frames in shown[9:]) == pytest.approx(300, abs=len(shown[9:]))
    assert len({one.seed for one in taken}) == len(taken)


def test_renderings_come_from_the_cache_the_second_time_and_are_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(renderings, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(renderings, "_KEPT_FROM", 20)
    monkeypatch.setattr(renderings, "_CHUNK", 16)
    images = datasets.load("digits", "train").images[:40]
    rendering = renderings.Rendering(images, "studio", 5, preprocess.FIND, (16, 16))
    made = renderings.inks_of(rendering, "digits", quiet)
    (kept,) = (tmp_path / "inks").iterdir()
    seen: list[str] = []
    again = renderings.inks_of(rendering, "digits", lambda stage, done, total: seen.append(stage))
    assert not seen
    np.testing.assert_array_equal(made.inks, again.inks)
    np.testing.assert_array_equal(made.numbers, again.numbers)
    np.testing.assert_array_equal(made.looks, again.looks)
    kept.write_bytes(b"damaged")
    repaired = renderings.inks_of(rendering, "digits", quiet)
    np.testing.assert_array_equal(made.inks, repaired.inks)
    direct = make_inks(camera.photograph(images, "studio", seed=5), preprocess.FIND, (16, 16))
    np.testing.assert_array_equal(made.inks, direct.inks[direct.inked])
    assert replace(rendering, seed=6).key() != rendering.key()
    assert replace(rendering, looks=2).key() != rendering.key()
    assert replace(rendering, kind="blank", count=40).key() != rendering.key()


def test_a_photograph_is_learned_from_as_each_look_sees_it() -> None:
    images = datasets.load("digits", "train").images[:30]
    rendering = renderings.Rendering(images, "hard", 5, preprocess.FIND, (16, 16), looks=3)
    made = renderings.inks_of(rendering, "digits", quiet)
    first = renderings.inks_of(replace(rendering, looks=1), "digits", quiet)
    np.testing.assert_array_equal(made.inks[made.looks == 0], first.inks)
    np.testing.assert_array_equal(made.numbers[made.looks == 0], first.numbers)
    frames = camera.photograph(images, "hard", seed=5)
    for look in (1, 2):
        seen = make_inks(frames, preprocess.FIND, (16, 16), attempt=look).inks
        chosen = made.looks == look
        assert chosen.sum() > 20
        np.testing.assert_array_equal(made.inks[chosen], seen[made.numbers[chosen]])
        assert (seen != make_inks(frames, preprocess.FIND, (16, 16)).inks).any()


def test_of_the_further_looks_at_a_photograph_one_is_learned_from_and_at_the_next_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def seen(rendering: renderings.Rendering, *_: object) -> renderings.Rendered:
        looks, numbers = (a.ravel() for a in np.mgrid[: rendering.looks, : rendering.frames])
        inks = np.zeros((len(looks), *rendering.ink_shape), np.uint8)
        inks[:, 0, 0] = looks
        return renderings.Rendered(inks, numbers, looks)

    monkeypatch.setattr(renderings, "inks_of", seen)
    few = datasets.load("digits", "train").take(np.arange(100))
    recipe = replace(recipes.RECIPES["best"], data=("digits",), renderings=2, no_digit=0.5)
    samples = recipes.inks_of(recipe, [few], quiet, fewest=0)
    looks, digit = samples.inks[:, 0, 0], samples.labels < 10
    for image in range(100):
        assert sorted(looks[digit & (samples.numbers == image)]) == [0, 0, 1, 2]
    assert np.bincount(looks[~digit]).tolist() == pytest.approx([100, 50, 50], abs=8)
    alone = recipes.inks_of(replace(recipe, looks=1), [few], quiet, fewest=0)
    np.testing.assert_array_equal(alone.inks[:, 0, 0], 0)


def test_without_pytorch_a_network_recipe_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picodigits.training.quantised", None)
    monkeypatch.delattr("picodigits.training.quantised", raising=False)
    recipe = replace(recipes.RECIPES["tiny"], data=("digits",), cares=("studio",), renderings=1, no_digit=0.0)
    with pytest.raises(TrainingError, match=r"recipe tiny: got no PyTorch .* pip install picodigits\[train\]"):
        recipes.train(recipe, [datasets.load("digits", "train")], quiet)
