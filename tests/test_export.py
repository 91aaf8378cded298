"""Exports equal the model: scikit-learn for the floats, plain Python integers for the model file."""

from __future__ import annotations

import gzip
import importlib
import itertools
import operator
import os
import random
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

import picodigits.export as export_module
from picodigits import modelfile
from picodigits.errors import ExportError, ModelFileError
from picodigits.executors import NumpyExecutor
from picodigits.export import (
    TARGETS,
    circuitpy_files,
    compact_source,
    estimator_source,
    export,
    minified,
    model_source,
    proof_inks,
    prove,
    render,
)
from picodigits.export import bundle as bundle_module
from picodigits.modelfile import DenseLayer
from picodigits_board.modelfile import Model

DIGITS = tuple("0123456789")


def dense(inputs: int, outputs: int, shift: int = 0, seed: int = 0) -> DenseLayer:
    random = np.random.default_rng(seed)
    weights = random.integers(-128, 128, (outputs, inputs)).astype(np.int8)
    return DenseLayer(weights, random.integers(-99999, 99999, outputs).astype(np.int32), shift)


def packed(layers: list[DenseLayer], shape: tuple[int, int], name: str = "test", **more: Any) -> Model:
    labels = more.get("labels", DIGITS[: len(layers[-1].biases)])
    data = modelfile.pack(
        name=name,
        preprocess_id="find-1",
        ink_shape=shape,
        labels=labels,
        layers=layers,
        octave=1000,
        min_confidence=50,
    )
    return modelfile.parse(data)


def reference(layers: list[DenseLayer], ink: list[int]) -> list[int]:
    """The integer network once more, in plain Python integers."""
    for number, layer in enumerate(layers):
        rows = layer.weights.tolist()
        sums = [sum(map(operator.mul, row, ink), bias) for row, bias in zip(rows, layer.biases.tolist(), strict=True)]
        if number == len(layers) - 1:
            return sums
        ink = [min(255, max(0, (2 * total // 2**layer.shift + 1) // 2)) for total in sums]
    raise AssertionError


def digits_12x12() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """load_digits at 12x12: (1797, 144) 0..1, labels."""
    digits = load_digits()
    pictures = [
        Image.fromarray(picture.astype(np.float32)).resize((12, 12), Image.Resampling.BILINEAR)
        for picture in digits.images
    ]
    return np.stack([np.asarray(p, np.float64).ravel() / 16 for p in pictures]), digits.target


@pytest.fixture(scope="module")
def classifier() -> LinearSVC:
    """The article's classifier, fitted on its split: the first 60 %."""
    X, y = digits_12x12()
    return LinearSVC(random_state=0, max_iter=20000).fit(X[:1078], y[:1078])


def quantised(classifier: LinearSVC) -> DenseLayer:
    scale = 127 / np.abs(classifier.coef_).max()
    return DenseLayer(
        np.rint(classifier.coef_ * scale).astype(np.int8),
        np.rint(classifier.intercept_ * scale * 255).astype(np.int32),
    )


@pytest.fixture(scope="module")
def article(classifier: LinearSVC) -> Model:
    return packed([quantised(classifier)], (12, 12), "article")


@pytest.fixture(scope="module")
def small() -> Model:
    return packed([dense(35, 3)], (5, 7))


@pytest.fixture(scope="module")
def deep() -> Model:
    return packed([dense(30, 9, 9, 1), dense(9, 6, 0, 2), dense(6, 4, 0, 3)], (6, 5))


def function(source: str | bytes, name: str = "score") -> Callable[..., Any]:
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    return namespace[name]


def corrupted(source: bytes, literal: bytes, replacement: bytes) -> bytes:
    assert source.count(literal) >= 1
    return source.replace(literal, replacement, 1)


# m2cgen, floats


def test_m2cgen_predicts_what_scikit_learn_predicts_on_the_whole_test_split(classifier: LinearSVC) -> None:
    X, y = digits_12x12()
    test = X[1078:]
    assert len(test) == 719
    expected = classifier.predict(test)
    assert (expected == y[1078:]).mean() > 0.9
    source = estimator_source(classifier)
    for program in (source, minified(source)):
        score = function(program)
        scores = np.array([score(row) for row in test.tolist()])
        assert (scores.argmax(axis=1) == expected).all()
        np.testing.assert_allclose(scores, classifier.decision_function(test), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=2000),
        DecisionTreeClassifier(random_state=0),
        RandomForestClassifier(5, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_m2cgen_takes_other_estimators_and_writes_plain_literals(estimator: Any) -> None:
    X, y = digits_12x12()
    estimator.fit(X[:600], y[:600])
    source = estimator_source(estimator)
    for program in (source, minified(source)):
        assert "np." not in program
        assert "float64" not in program
        score = function(program)
        read = [int(np.argmax(score(row))) for row in X[600:900].tolist()]
        assert read == estimator.predict(X[600:900]).tolist()


def test_the_minified_source_is_smaller_and_keeps_its_function_name(classifier: LinearSVC) -> None:
    source = estimator_source(classifier)
    assert len(minified(source)) < len(source)
    assert minified(source).startswith("def score(input):")


def test_m2cgen_says_the_size_and_the_way_out_where_a_model_is_too_large(small: Model) -> None:
    large = packed([dense(28 * 28, 3)], (28, 28))
    with pytest.raises(ExportError, match=r"got LinearSVC with 784 features, need at most .* target compact"):
        model_source(large)
    ink = np.arange(784, dtype=np.uint32).astype(np.uint8)
    assert function(compact_source(large))(ink) == NumpyExecutor(large).scores(ink.reshape(1, 28, 28))[0].tolist()


def test_the_limit_of_m2cgen_is_as_documented_and_does_not_depend_on_the_caller() -> None:
    model = packed([dense(19 * 19, 2)], (19, 19))

    def deeper(levels: int) -> str:
        return deeper(levels - 1) if levels else model_source(model)

    assert deeper(0) == deeper(400)


def test_m2cgen_refuses_an_estimator_that_it_does_not_know_or_that_is_not_fitted() -> None:
    with pytest.raises(ExportError, match=r"got KNeighborsClassifier, need an estimator that it knows"):
        estimator_source(KNeighborsClassifier().fit([[0], [1]], [0, 1]))
    with pytest.raises(ExportError, match=r"got LinearSVC without coef_, need a fitted one. Call fit first"):
        estimator_source(LinearSVC())


def test_m2cgen_refuses_a_network_of_more_than_one_layer(deep: Model) -> None:
    with pytest.raises(ExportError, match=r"got a network of 3 layers, need a single dense one.*target compact"):
        model_source(deep)


@pytest.mark.parametrize("target", ["m2cgen", "compact"])
def test_a_convolution_is_refused_with_the_target_that_can_take_it(target: str) -> None:
    fast = modelfile.find("fast")
    with pytest.raises(
        ExportError, match=rf"{target}: got a model with a convolution, .* Use the target (\w+)"
    ) as refused:
        render(target, fast)
    other = str(refused.value).removesuffix(".").rsplit(" ", 1)[1]
    assert prove(other, fast, proof_inks(fast)[:20]).mismatches == 0


def test_a_missing_minifier_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "python_minifier", None)
    with pytest.raises(ExportError, match=r"python-minifier: got no such module.*pip install python-minifier"):
        minified("x = 1")


def test_board_exactness_tells_sums_that_circuitpython_rounds_from_those_that_it_holds(
    article: Model,
) -> None:
    assert "exact in CircuitPython's floats too" in export_module.board_exactness(article)
    large = packed([DenseLayer(np.full((2, 256), 127, np.int8), np.zeros(2, np.int32))], (16, 16))
    assert f"may reach {256 * 127 * 255}" in export_module.board_exactness(large)


# integers


def test_every_program_equals_the_network_and_plain_integers_on_the_proof_inks(
    classifier: LinearSVC, article: Model
) -> None:
    layers = [quantised(classifier)]
    inks = proof_inks(article)
    expected = [reference(layers, ink) for ink in inks.reshape(len(inks), -1).tolist()]
    assert NumpyExecutor(article).scores(inks).tolist() == expected
    source = model_source(article)
    for program in (source, minified(source), compact_source(article)):
        score = function(program)
        assert [score(ink) for ink in inks.reshape(len(inks), -1).tolist()] == expected


@pytest.mark.parametrize("seed", range(8))
def test_compact_equals_plain_integers_on_networks_of_any_depth(seed: int) -> None:
    draw = random.Random(seed)
    height, width = draw.randint(1, 8), draw.randint(1, 8)
    sizes = [height * width] + [draw.randint(1, 12) for _ in range(draw.randint(0, 3))] + [draw.randint(2, 5)]
    layers = [
        dense(inputs, outputs, draw.randint(0, 12), seed * 10 + number)
        for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes))
    ]
    model = packed(layers, (height, width))
    score = function(compact_source(model))
    inks = np.random.default_rng(seed).integers(0, 256, (200, height, width)).astype(np.uint8)
    expected = [reference(layers, ink) for ink in inks.reshape(200, -1).tolist()]
    assert [score(ink) for ink in inks.reshape(200, -1).tolist()] == expected
    assert NumpyExecutor(model).scores(inks).tolist() == expected


@pytest.mark.mnist
def test_no_program_differs_on_any_of_the_10000_mnist_test_images(classifier: LinearSVC, article: Model) -> None:
    folder = os.environ.get("PICODIGITS_DATA")
    if not folder:
        pytest.skip("PICODIGITS_DATA is not set")
    raw = gzip.decompress((Path(folder) / "t10k-images-idx3-ubyte.gz").read_bytes())
    pictures = np.frombuffer(raw, np.uint8, offset=16).reshape(10000, 28, 28)
    inks = np.stack([np.asarray(Image.fromarray(p).resize((12, 12), Image.Resampling.BOX)) for p in pictures])
    layers = [quantised(classifier)]
    expected = [reference(layers, ink) for ink in inks.reshape(10000, -1).tolist()]
    assert NumpyExecutor(article).scores(inks).tolist() == expected
    for target in TARGETS:
        proof = prove(target, article, inks)
        assert proof.inks == 10000
        assert proof.mismatches == 0, proof.first
    score = function(compact_source(article))
    assert [score(ink) for ink in inks.reshape(10000, -1).tolist()] == expected


# the compact file


def test_compact_takes_any_sequence_of_bytes_and_gives_a_list_of_int(deep: Model) -> None:
    score = function(compact_source(deep))
    ink = np.random.default_rng(5).integers(0, 256, (6, 5)).astype(np.uint8)
    expected = NumpyExecutor(deep).scores(ink[np.newaxis])[0].tolist()
    values = ink.ravel().tolist()
    for form in (values, tuple(values), bytes(values), bytearray(values), memoryview(bytes(values)), ink):
        got = score(form)
        assert got == expected
        assert all(type(value) is int for value in got)


@pytest.mark.parametrize("ink", [[], [0] * 29, [0] * 31])
def test_compact_refuses_an_ink_of_another_size(deep: Model, ink: list[int]) -> None:
    with pytest.raises(ValueError, match=rf"ink: got {len(ink)} values, need 30"):
        function(compact_source(deep))(ink)


def test_compact_classifies_by_label_and_takes_the_first_of_equals() -> None:
    weights = np.array([[0, 0], [1, 0], [1, 0], [0, 1]], np.int8)
    model = packed([DenseLayer(weights, np.zeros(4, np.int32))], (1, 2), labels=("none", 'a "quoted" \\', "ä", "4"))
    source = compact_source(model)
    classify = function(source, "classify")
    assert function(source, "LABELS") == ("none", 'a "quoted" \\', "ä", "4")
    assert [classify([0, 0]), classify([9, 0]), classify([0, 9])] == ["none", 'a "quoted" \\', "4"]


def test_sources_are_reproducible_and_say_model_hash_and_command(article: Model) -> None:
    crc = f"{int.from_bytes(article.data[-4:], 'little'):08x}"
    for target, name in (("compact", "picodigits_model.py"), ("m2cgen", "svm.py")):
        source = render(target, article)[name].decode()
        assert render(target, modelfile.parse(bytes(article.data)))[name].decode() == source
        head = "".join(line for line in source.splitlines(True) if line.startswith("#"))
        assert "article: ink 12 x 12, 144 -> 10" in head
        assert f"model file of {len(article.data)} bytes, CRC32 {crc}" in head
        assert f"picodigits export {target} --model article" in head


def test_a_line_feed_in_a_model_name_does_not_become_code(small: Model) -> None:
    data = packed([dense(35, 3)], (5, 7), name="a\nraise OSError").data
    model = modelfile.parse(data)
    for target in ("compact", "m2cgen"):
        assert prove(target, model, proof_inks(model)).mismatches == 0


# the bundle


def test_the_bundle_is_exactly_the_application_the_model_and_the_drivers(small: Model) -> None:
    package = Path(str(importlib.import_module("picodigits_board").__file__)).parent
    expected = {"code.py", "settings.toml", "model.pdm"}
    expected |= {f"lib/picodigits_board/{path.name}" for path in package.glob("*.py")}
    expected -= {"lib/picodigits_board/code.py"}
    expected |= {"lib/picodigits_board/digits.bin"}
    expected |= {"lib/adafruit_ov7670.py"}
    expected |= {f"lib/adafruit_bus_device/{name}.py" for name in ("__init__", "i2c_device", "spi_device")}
    before = set(sys.modules)
    files = circuitpy_files(small.data)
    assert not {name for name in set(sys.modules) - before if name.startswith("adafruit")}
    assert set(files) == expected
    assert {"lib/picodigits_board/network.py", "lib/picodigits_board/modelfile.py"} <= expected
    assert files["model.pdm"] == small.data
    assert files["code.py"] == (package / "code.py").read_bytes()
    for name, content in files.items():
        if name.endswith(".py"):
            compile(content, name, "exec", dont_inherit=True)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"PICODIGITS_[A-Z0-9_]{1,12}", fullmatch=True),
        st.integers(-(2**30), 2**30 - 1) | st.text(),
        max_size=5,
    )
)
def test_settings_come_back_from_toml_as_they_were(chosen: dict[str, str | int]) -> None:
    text = bundle_module._settings_toml(chosen)
    assert tomllib.loads(text) == chosen
    assert text.count("\n") == 1 + len(chosen)


def test_settings_are_quoted_and_escaped_for_circuitpython(small: Model) -> None:
    chosen: dict[str, str | int] = {"PICODIGITS_MODEL": '/a "b"\\c\n', "PICODIGITS_FLIP_X": 1}
    lines = circuitpy_files(small.data, chosen)["settings.toml"].decode().splitlines()
    assert lines[1:] == [r'PICODIGITS_MODEL = "/a \"b\"\\c\u000a"', "PICODIGITS_FLIP_X = 1"]


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ({"WIFI": 1}, "got the name 'WIFI', need PICODIGITS_"),
        ({"PICODIGITS_a": 1}, "got the name 'PICODIGITS_a'"),
        ({"PICODIGITS_A\nB": 1}, "need PICODIGITS_"),
        ({"PICODIGITS_A": True}, "got True, need text or a whole number"),
        ({"PICODIGITS_A": 1.5}, r"got 1\.5, need text or a whole number"),
        ({"PICODIGITS_A": 2**30}, "got 1073741824, need text or a whole number of at most 30 bits"),
        ({"PICODIGITS_A": "\ud800"}, "got text that is not Unicode"),
    ],
)
def test_settings_that_do_not_fit_are_refused(small: Model, chosen: dict[str, Any], text: str) -> None:
    with pytest.raises(ExportError, match=text):
        circuitpy_files(small.data, chosen)


def test_a_driver_that_is_not_installed_is_named_with_the_command_that_installs_it(
    small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = bundle_module.find_spec
    for module, package in (
        ("adafruit_ov7670", "adafruit-circuitpython-ov7670"),
        ("adafruit_bus_device", "adafruit-circuitpython-busdevice"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(bundle_module, "find_spec", lambda name, gone=module: None if name == gone else found(name))
            with pytest.raises(ExportError, match=rf"{module}: got no such module.*pip install {package}\."):
                circuitpy_files(small.data)


def test_a_bundle_of_a_damaged_model_is_refused(small: Model) -> None:
    damaged = bytearray(small.data)
    damaged[60] ^= 1
    with pytest.raises(ModelFileError, match="checksum"):
        circuitpy_files(bytes(damaged))


# the proof


@pytest.mark.parametrize("target", TARGETS)
def test_the_proof_compares_every_program_with_the_network(target: str, article: Model) -> None:
    inks = proof_inks(article)
    proof = prove(target, article, inks)
    assert proof.mismatches == 0
    assert proof.inks == len(inks) > 1797 + 512
    assert (
        proof.programs
        == {
            "m2cgen": ("svm.py", "svm_min.py"),
            "compact": ("picodigits_model.py",),
            "circuitpython": ("lib/picodigits_board/network.py",),
        }[target]
    )
    assert proof.scores == len(proof.programs) * len(inks) * 10
    assert "0 inks differ" in str(proof)


def test_the_proof_fails_where_one_weight_or_bias_differs_by_one(small: Model) -> None:
    layer = dense(35, 3)
    inks = proof_inks(small)
    for place in ((0, 0), (1, 17), (2, 34)):
        weights = layer.weights.copy()
        weights[place] += 1 if weights[place] < 0 else -1
        other = packed([DenseLayer(weights, layer.biases)], (5, 7))
        for target in TARGETS:
            proof = prove(target, small, inks, render(target, other))
            assert proof.mismatches > 0
            assert proof.first.startswith(proof.programs[0])
    other = packed([DenseLayer(layer.weights, layer.biases + np.int32(1))], (5, 7))
    for target in TARGETS:
        proof = prove(target, small, inks, render(target, other))
        assert proof.mismatches == len(proof.programs) * len(inks)


def test_the_proof_sees_a_damaged_literal_in_the_minified_source_alone(small: Model) -> None:
    files = render("m2cgen", small)
    files["svm_min.py"] = corrupted(files["svm_min.py"], b"input[3]", b"input[4]")
    proof = prove("m2cgen", small, proof_inks(small), files)
    assert proof.mismatches > 0
    assert proof.first.startswith("svm_min.py, ink ")


def test_the_proof_sees_a_rounding_error_between_layers(deep: Model) -> None:
    files = render("compact", deep)
    files["picodigits_model.py"] = corrupted(files["picodigits_model.py"], b"1 << shift >> 1", b"0")
    assert prove("compact", deep, proof_inks(deep), files).mismatches > 0


def test_a_program_that_does_not_run_is_an_export_error(small: Model) -> None:
    for broken in (b"def score(ink): return 1 / 0", b"score = (", b"x = 1"):
        with pytest.raises(ExportError, match="from the exported program"):
            prove("compact", small, proof_inks(small), {"picodigits_model.py": broken})


@pytest.mark.parametrize(
    "inks",
    [
        np.zeros((3, 5, 6), np.uint8),
        np.zeros((5, 7), np.uint8),
        np.zeros((3, 5, 7), np.int64),
        np.zeros((0, 5, 7), np.uint8),
    ],
    ids=str,
)
def test_inks_of_another_shape_or_type_are_refused(small: Model, inks: NDArray[Any]) -> None:
    with pytest.raises(ExportError, match=r"inks: got .*, need uint8 of \(N, 5, 7\)"):
        prove("compact", small, inks)


def test_an_export_that_differs_fails_and_writes_nothing(
    small: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = compact_source(small)
    monkeypatch.setattr(export_module, "compact_source", lambda model: right.replace("row[i] *", "abs(row[i]) *"))
    with pytest.raises(ExportError, match=r"inks that differ from the integer network, need 0.*Nothing was written"):
        export("compact", small, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# the folder


@pytest.mark.parametrize("target", TARGETS)
def test_export_writes_what_it_says_and_may_do_so_again(target: str, article: Model, tmp_path: Path) -> None:
    for _ in range(2):
        exported = export(target, article, tmp_path / "out")
        present = {
            path.relative_to(tmp_path / "out").as_posix(): path.stat().st_size
            for path in (tmp_path / "out").rglob("*")
            if path.is_file() and path.name != export_module.RECORD
        }
        assert exported.files == present
        assert exported.bytes == sum(present.values())
        assert exported.proof.mismatches == 0


def test_export_shows_the_sizes_side_by_side(article: Model, deep: Model, tmp_path: Path) -> None:
    exported = export("m2cgen", article, tmp_path)
    sizes = exported.sizes
    assert list(sizes) == ["svm.py", "svm_min.py", "picodigits_model.py", "model file"]
    assert {name: sizes[name] for name in exported.files} == exported.files
    assert sizes["model file"] == len(article.data)
    values = [size for size in sizes.values() if size is not None]
    assert values == sorted(values, reverse=True)
    assert "2**22" in exported.note
    assert export("compact", deep, tmp_path).sizes["svm.py"] is None


def test_export_replaces_its_own_earlier_output(small: Model, article: Model, tmp_path: Path) -> None:
    export("compact", small, tmp_path)
    export("m2cgen", small, tmp_path)
    export("compact", article, tmp_path)
    export("m2cgen", article, tmp_path)
    assert (tmp_path / "picodigits_model.py").read_text(encoding="utf-8") == compact_source(article)


def test_export_keeps_files_that_are_not_its_own_unless_forced(small: Model, article: Model, tmp_path: Path) -> None:
    (tmp_path / "svm_min.py").write_text("mine")
    with pytest.raises(ExportError, match=r"got svm_min\.py, not written by an export .* with --force"):
        export("m2cgen", small, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["svm_min.py"]
    assert (tmp_path / "svm_min.py").read_text() == "mine"
    export("m2cgen", small, tmp_path, force=True)
    assert (tmp_path / "svm_min.py").read_bytes() == render("m2cgen", small)["svm_min.py"]
    (tmp_path / "svm.py").write_text("edited")
    with pytest.raises(ExportError, match=r"got svm\.py, not written by an export or changed since"):
        export("m2cgen", article, tmp_path)
    assert (tmp_path / "svm.py").read_text() == "edited"
    assert (tmp_path / "svm_min.py").read_bytes() == render("m2cgen", small)["svm_min.py"]


@pytest.mark.parametrize("record", ["", "{", "[]", '{"svm.py": 3}', "\x00"])
def test_a_damaged_record_counts_as_none(record: str, small: Model, tmp_path: Path) -> None:
    (tmp_path / export_module.RECORD).write_text(record)
    (tmp_path / "svm.py").write_text("mine")
    with pytest.raises(ExportError, match=r"got svm\.py"):
        export("m2cgen", small, tmp_path)


def test_a_folder_that_is_a_file_or_holds_a_folder_in_the_way_is_refused(small: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError, match=r"need a folder that can be written. Choose another --out"):
        export("compact", small, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "picodigits_model.py").mkdir()
    for force in (False, True):
        with pytest.raises(ExportError, match=r"need a folder that can be written. Choose another --out"):
            export("compact", small, tmp_path, force=force)


def test_an_unknown_target_and_settings_without_a_board_are_refused(small: Model, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"target: got fortran, need one of m2cgen, compact, circuitpython"):
        export("fortran", small, tmp_path)
    with pytest.raises(ExportError, match=r"settings: got some for the target compact, need none"):
        export("compact", small, tmp_path, settings={"PICODIGITS_A": 1})
