"""The integer network trained in PyTorch: what is learned is what the board runs, also after being killed."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from picodigits import datasets, modelfile
from picodigits.errors import TrainingError
from picodigits.evaluation import resize
from picodigits.executors import NumpyExecutor
from picodigits.training import calibration, recipes
from picodigits.training.architectures import Architecture, Conv, Dense, Schedule, Teacher
from picodigits_board import preprocess
from picodigits_board.modelfile import Model

torch = pytest.importorskip("torch")  # of the extra "train"

from picodigits.training import quantised  # noqa: E402


def quiet(stage: str, done: int, total: int) -> None:
    """No progress shown."""


SMALL = Architecture((Conv(4, pad=1, pool=2), Conv(4, depthwise=True), Conv(6, (6, 2), (3, 2)), Dense(12)))


@pytest.fixture(scope="module")
def small() -> tuple[Any, Any]:
    """Inks (1000, 16, 16) of scikit-learn's digits and their labels."""
    torch.set_num_threads(1)  # as in training; two tests at a time leave no core for more
    train = datasets.load("digits", "train")
    return resize(train.images[:1000], (16, 16)), train.labels[:1000]


def packed(layers: list[Any], outputs: int = 10) -> Model:
    data = modelfile.pack(
        name="small", preprocess_id=preprocess.FIND, ink_shape=(16, 16), labels=[str(i) for i in range(outputs)],
        layers=layers, octave=100, min_confidence=0, ink_shift=SMALL.ink_shift,
    )  # fmt: skip
    return modelfile.parse(data)


def test_the_network_that_is_trained_is_the_network_that_the_board_runs(small: Any) -> None:
    inks, labels = small
    torch.manual_seed(0)
    net = quantised.IntegerNet(SMALL, (16, 16), 10)
    seen = torch.from_numpy(inks >> SMALL.ink_shift).unsqueeze(1).float()
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(40):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(seen), torch.from_numpy(labels)).backward()
        optimiser.step()
    net.eval()
    floats = net(seen).argmax(1).numpy()
    net.fix(seen)
    last = list(net.parts())[-1]
    with torch.no_grad():
        trained = torch.round(net(seen) * last.scale).numpy().astype(np.int32)
    model = packed(net.integer_layers())
    np.testing.assert_array_equal(NumpyExecutor(model).scores(inks), trained)
    assert (trained.argmax(axis=1) == floats).mean() > 0.9  # rounding alone changes little: 0.96 to 0.99 of 12 seeds
    assert all(layer.narrow for layer in model.layers)


def test_a_network_learns_to_read_and_keeps_it_in_integers(small: Any) -> None:
    inks, labels = small
    layers = quantised.train_network(SMALL, inks, labels, 10, quiet, schedule=Schedule(12, 4, batch=50))
    test = datasets.load("digits", "test")
    scores = NumpyExecutor(packed(layers)).scores(resize(test.images, (16, 16)))
    assert (scores.argmax(axis=1) == test.labels).mean() > 0.8


def test_a_network_learns_from_its_teacher_who_learns_once(small: Any, tmp_path: Path) -> None:
    inks, labels = small
    odd = np.where(labels < 2, 1 - labels, labels)  # a 0 is called 1, and a 1 is called 0
    teacher = Teacher(SMALL, Schedule(4, 0, batch=50), shown=12_500, share=1.0)
    stages: list[str] = []

    def trained(told: Any, schedule: Schedule) -> list[Any]:
        return quantised.train_network(
            SMALL, inks, told, 10, lambda stage, done, total: stages.append(stage), schedule=schedule,
            checkpoint=tmp_path / "pupil.pt", teacher=teacher,
        )  # fmt: skip

    scores = NumpyExecutor(packed(trained(odd, Schedule(12, 4, batch=50)))).scores(inks)
    assert (scores.argmax(axis=1) == odd).mean() > 0.8
    assert stages[0] == "teacher, epoch 1 of 13"  # of 1 000 inks, until it has seen 12 500
    assert "teacher answers" in stages
    stages.clear()
    trained(odd, Schedule(1, 1, batch=50))  # another training: the teacher is found beside its checkpoint
    assert stages[0] == "teacher answers"
    assert "epoch 1 of 2" in stages
    stages.clear()
    trained(labels, Schedule(1, 1, batch=50))  # other labels: another teacher
    assert stages[0] == "teacher, epoch 1 of 13"
    stages.clear()
    trained(odd, Schedule(1, 1, batch=50))  # the first one is still there
    assert stages[0] == "teacher answers"


class KilledError(Exception):
    pass


def test_of_two_teachers_who_learn_side_by_side_the_mean_answer_counts(small: Any, tmp_path: Path) -> None:
    inks, labels = small
    teacher = Teacher(SMALL, Schedule(2, 0, batch=50), shown=0, share=0.8)

    def taught(count: int, seed: int, progress: Any = quiet, checkpoint: Path | None = None) -> Any:
        return quantised._taught(replace(teacher, count=count), inks, labels, 10, progress, seed, checkpoint).numpy()

    alone = [taught(1, 5), taught(1, 6)]
    assert not np.allclose(alone[0], alone[1], atol=0.05)
    both = taught(2, 5)
    np.testing.assert_allclose(both, (alone[0] + alone[1]) / 2, atol=1e-6)
    np.testing.assert_array_equal(both, taught(2, 5))

    def killed(stage: str, done: int, total: int) -> None:
        if stage == "teacher 1 of 2, epoch 2 of 2" and done:
            raise KilledError

    threads = threading.active_count()
    with pytest.raises(KilledError):
        taught(2, 5, killed, tmp_path / "pupil.pt")
    assert threading.active_count() == threads  # the other one gave up too
    stages: list[str] = []
    again = taught(2, 5, lambda stage, done, total: stages.append(stage), tmp_path / "pupil.pt")
    np.testing.assert_array_equal(again, both)
    assert stages[0] == "teacher 1 of 2, epoch 2 of 2"
    assert {"teacher 1 of 2 answers", "teacher 2 of 2 answers"} & set(stages)


def test_a_training_that_was_killed_goes_on_to_the_same_result(small: Any, tmp_path: Path) -> None:
    schedule = Schedule(2, 2, batch=40)

    def trained(checkpoint: Path | None, seen: list[str], killed_in: str = "") -> list[bytes]:
        def progress(stage: str, done: int, total: int) -> None:
            seen.append(stage)
            if stage == killed_in and 0 < done < total:
                raise KilledError

        layers = quantised.train_network(SMALL, *small, 10, progress, schedule=schedule, checkpoint=checkpoint, seed=3)
        return [layer.weights.tobytes() + layer.biases.tobytes() for layer in layers]

    whole = trained(None, [])
    assert trained(None, []) == whole
    for stage in ("epoch 2 of 4", "epoch 3 of 4, in integers", "epoch 4 of 4, in integers"):
        checkpoint = tmp_path / f"{stage}.pt"
        with pytest.raises(KilledError):
            trained(checkpoint, [], stage)
        seen: list[str] = []
        assert trained(checkpoint, seen) == whole
        assert seen[0] == stage
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".pt"]


def test_a_single_sample_left_over_is_not_learned_from(small: Any) -> None:
    """Nothing can be normalised by a batch of one."""
    inks, labels = small
    assert quantised.train_network(SMALL, inks[:41], labels[:41], 10, quiet, schedule=Schedule(1, 1, batch=40))


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None], ids=["empty", "damaged", "of another seed"])
def test_a_checkpoint_that_is_not_of_this_training_is_not_taken_up(
    small: Any, tmp_path: Path, content: bytes | None
) -> None:
    schedule = Schedule(1, 1, batch=200)
    checkpoint = tmp_path / "it.pt"
    if content is None:
        quantised.train_network(SMALL, *small, 10, quiet, schedule=schedule, checkpoint=checkpoint, seed=1)
    else:
        checkpoint.write_bytes(content)
    seen: list[str] = []
    quantised.train_network(
        SMALL, *small, 10, lambda stage, done, total: seen.append(stage), schedule=schedule, checkpoint=checkpoint
    )
    assert seen[0] == "epoch 1 of 2"


def test_a_checkpoint_that_cannot_be_written_is_told(small: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainingError, match="need a place for the checkpoint"):
        quantised.train_network(
            SMALL, *small, 10, quiet, schedule=Schedule(1, 1, batch=500), checkpoint=tmp_path / "file" / "it.pt"
        )


def test_a_recipe_that_rejects_gives_a_model_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "MIN_PHOTOGRAPHS", 0)
    monkeypatch.setattr(calibration, "FRAMES", 60)
    monkeypatch.setattr(calibration, "NO_DIGIT_FRAMES", 10)
    recipe = replace(recipes.RECIPES["tiny"], data=("digits",), renderings=2, no_digit=0.5, schedule=Schedule(4, 2))
    assert recipe.teacher is not None
    recipe = replace(recipe, cares=("studio",), teacher=replace(recipe.teacher, shown=10_000))
    samples = recipes.inks_of(recipe, [datasets.load("digits", "train")], quiet)
    assert set(samples.labels.tolist()) == set(range(11))
    assert 0.05 < (samples.labels == 10).mean() < 0.4
    trained = recipes.train(recipe, [datasets.load("digits", "train")], quiet)
    model = modelfile.parse(trained.data)
    assert model.rejects
    best = NumpyExecutor(model).scores(samples.inks).argmax(axis=1)
    digit = samples.labels < 10
    assert (best[digit] < 10).mean() > 0.9
    assert (best[~digit] == 10).mean() > 0.5


def test_the_small_model_has_less_than_2_kilobytes_of_numbers() -> None:
    architecture = recipes.RECIPES["tiny"].architecture
    assert architecture is not None
    net = quantised.IntegerNet(architecture, (16, 16), 11)
    assert sum(part.weight.numel() + 4 * part.bias.numel() for part in net.parts()) < 2048
