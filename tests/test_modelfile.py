"""Model files: written, read back, and refused with a reason when they are anything but whole."""

from __future__ import annotations

import binascii
import dataclasses
import io
import itertools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picodigits import modelfile
from picodigits.errors import ModelFileError
from picodigits.modelfile import ConvLayer, DenseLayer
from picodigits_board import modelfile as layout
from picodigits_board import preprocess

FAST = settings(max_examples=200, deadline=None)


def layer(outputs: int, inputs: int, *, shift: int = 0, seed: int = 3) -> DenseLayer:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-60, 61, (outputs, inputs), dtype=np.int8)  # 1024 of them stay below 2**24
    return DenseLayer(weights, rng.integers(-70_000, 70_000, outputs, dtype=np.int32), shift)


def good(**changes: Any) -> dict[str, Any]:
    """What `pack` takes, for a small network of two layers."""
    fields = {
        "name": "small",
        "preprocess_id": preprocess.FIND,
        "ink_shape": (4, 5),
        "labels": ["circle", "ö", "7"],
        "layers": [layer(6, 20, shift=9), layer(3, 6)],
        "octave": 5000,
        "min_confidence": 60,
    }
    return {**fields, **changes}


GOOD = modelfile.pack(**good())


def forge(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    """`data` with bytes replaced at offsets, then made to look whole: size and CRC32 put right."""
    body = bytearray(data[:-4])
    for offset, new in changes:
        body[offset : offset + len(new)] = new
    body[4:8] = struct.pack("<I", len(body) + 4)
    return bytes(body) + struct.pack("<I", binascii.crc32(bytes(body)))


def outcome(read: Callable[[bytes], Any], data: bytes) -> str:
    """How a reader takes `data`: "read" or "refused"; any error but its own passes through and fails the test."""
    own = ModelFileError if read is modelfile.parse else layout.ModelFileError
    try:
        read(data)
    except own as error:
        text = str(error)
    else:
        return "read"
    assert text.endswith(".")
    assert "\n" not in text
    return "refused"


def read_on_the_board(data: bytes) -> layout.Model:
    return layout.Model(io.BytesIO(data))


READERS = pytest.mark.parametrize("read", [modelfile.parse, read_on_the_board], ids=["PC", "board"])

# --- there and back ---------------------------------------------------------------------------------------

LABELS = st.lists(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8), min_size=2, max_size=12
)


@FAST
@given(
    labels=LABELS,
    height=st.integers(1, 32),
    width=st.integers(1, 32),
    hidden=st.lists(st.integers(1, 20), max_size=3),
    octave=st.integers(1, 2**24),
    confidence=st.integers(0, 100),
    data=st.data(),
)
def test_what_is_packed_is_read_back(
    labels: list[str], height: int, width: int, hidden: list[int], octave: int, confidence: int, data: st.DataObject
) -> None:
    sizes = [height * width, *hidden, len(labels)]
    layers = [
        layer(outputs, inputs, shift=data.draw(st.integers(0, 24)), seed=number)
        for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes))
    ]
    model = modelfile.parse(
        modelfile.pack(
            **good(labels=labels, ink_shape=(height, width), layers=layers, octave=octave, min_confidence=confidence)
        )
    )
    assert (model.name, model.preprocess_id, model.labels) == ("small", preprocess.FIND, labels)
    assert (model.ink_height, model.ink_width, model.classes) == (height, width, len(labels))
    assert (model.octave, model.min_confidence) == (octave, confidence)
    assert [part.relu for part in model.layers] == [True] * len(hidden) + [False]
    for packed, read in zip(layers, modelfile.layers_of(model), strict=True):
        np.testing.assert_array_equal(packed.weights, read.weights)
        np.testing.assert_array_equal(packed.biases, read.biases)
        assert packed.shift == read.shift


def test_a_model_file_is_the_same_bytes_every_time() -> None:
    assert modelfile.pack(**good()) == GOOD
    assert len(GOOD) % 4 == 0
    assert struct.unpack_from("<I", GOOD, 4) == (len(GOOD),)


def test_the_ram_that_a_model_asks_for_covers_biases_and_two_layers_of_activations() -> None:
    assert read_on_the_board(GOOD).ram_bytes == 4 * ((6 + 3) + (20 + 6))


def test_the_heap_that_a_network_takes_is_estimated_as_it_was_measured_on_the_board() -> None:
    """Measured: free heap before the network was made less that after, CircuitPython 10.0.0; see network.py."""
    rng = np.random.default_rng(2)

    def convolution(inputs: int, outputs: int, pad: int, pool: int) -> ConvLayer:
        weights = rng.integers(-2, 2, (3, 3, inputs, outputs)).astype(np.int8) * 2 + 1
        return ConvLayer(weights, np.zeros(outputs, np.int32), 9, 15, pad=pad, pool=pool)

    layers = [
        convolution(1, 16, 1, 2), convolution(16, 24, 1, 1), convolution(24, 32, 0, 2),
        dataclasses.replace(layer(48, 288, shift=9), weights=rng.integers(-3, 4, (48, 288)).astype(np.int8)),
        layer(11, 48),
    ]  # fmt: skip
    shape = {"ink_shape": (16, 16), "labels": [str(k) for k in range(10)], "rejects": True, "ink_shift": 4}
    model = modelfile.parse(modelfile.pack(**good(layers=layers, **shape)))
    passing = 4000  # bytes of the pieces in which sums become activations
    assert modelfile.heap_bytes(model) - passing == pytest.approx(56_032, rel=0.05)
    assert modelfile.fits_board(model)
    wider = [dataclasses.replace(layer(200, 288, shift=9)), layer(11, 200)]
    assert not modelfile.fits_board(modelfile.parse(modelfile.pack(**good(layers=[*layers[:3], *wider], **shape))))


def test_a_description_says_what_the_file_holds() -> None:
    said = dict(modelfile.describe(modelfile.parse(GOOD)))
    assert said["name"] == "small"
    assert said["labels"] == "circle ö 7"
    assert said["layers"] == "20 -> 6 -> 3"
    assert said["file"] == f"{len(GOOD)} bytes"
    assert said["multiply-accumulates"] == str(20 * 6 + 6 * 3)
    assert said["declines below"] == "60 % confidence"


@pytest.mark.parametrize("name", modelfile.pretrained())
def test_every_model_that_ships_is_whole_and_reads_digits(name: str) -> None:
    model = modelfile.find(name)
    assert model.name == name
    assert model.labels == list("0123456789")
    preprocess.make(model.preprocess_id, model.ink_height, model.ink_width)


# --- what can't be packed ---------------------------------------------------------------------------------

FULL = 127 * 255  # the most that one weight adds to an accumulator


def exact_layer(accumulator: int) -> DenseLayer:
    """Three equal outputs over 20 inputs whose largest accumulator is `accumulator`."""
    return DenseLayer(np.full((3, 20), -127, np.int8), np.full(3, -(accumulator - 20 * FULL), np.int32))


REFUSED_PACKS: list[tuple[dict[str, Any], str]] = [
    ({"layers": []}, "layers: got none"),
    ({"layers": [exact_layer(1 << 24)]}, "layer 0: got an accumulator of up to 16777216, need less than 2**24"),
    ({"layers": [DenseLayer(np.zeros((3, 20)), np.zeros(3, np.int32))]}, "layer 0: got float64 weights"),  # type: ignore[arg-type]
    ({"layers": [DenseLayer(np.zeros((3, 20), np.int8), np.zeros(3, np.int64))]}, "and int64 biases"),  # type: ignore[arg-type]
    ({"layers": [DenseLayer(np.zeros((3, 20), np.int8), np.zeros(2, np.int32))]}, "biases (2,), need"),
    ({"layers": [DenseLayer(np.zeros(20, np.int8), np.zeros(3, np.int32))]}, "got weights (20,)"),
    ({"layers": [DenseLayer(np.zeros((0, 20), np.int8), np.zeros(0, np.int32))]}, "got weights (0, 20)"),
    ({"layers": [DenseLayer(np.zeros((3, 70_000), np.int8), np.zeros(3, np.int32))]}, "each 1 to 65535"),
    ({"layers": [layer(6, 20, shift=25), layer(3, 6)]}, "layer 0: got a shift of 25, need 0 to 24"),
    ({"layers": [layer(6, 20, shift=-1), layer(3, 6)]}, "layer 0: got a shift of -1"),
    ({"layers": [layer(6, 20), layer(3, 7)]}, "its layers do not fit together"),
    ({"layers": [layer(3, 21)]}, "its layers do not fit together"),
    ({"layers": [layer(4, 20)]}, "its classes, labels and layers do not agree"),
    ({"ink_shape": (300, 1)}, "does not fit its field"),
    ({"octave": 0}, "model file: "),
    ({"octave": 1 << 32}, "does not fit its field"),
    ({"min_confidence": 101}, "min_confidence: got 101, need 0 to 100"),
    ({"min_confidence": -1}, "min_confidence: got -1"),
    ({"name": "a name of 17 bytes"[:17]}, "model name: got 17 bytes (a name of 17 byte), need at most 16"),
    ({"name": "öööööööö7"}, "model name: got 17 bytes"),
    ({"preprocess_id": "find-1-and-more"}, "preprocess id: got 15 bytes"),
    ({"labels": ["a", "b\nc", "d"]}, "model file: "),
    ({"labels": ["a", "b", "c\0"]}, "labels: got"),
    ({"labels": ["a", "b", "\x1b[2J"]}, "need one without control characters"),
    ({"labels": ["a", "b", "\udc80"]}, "labels: got"),
    ({"name": "\udc80"}, "model name: got"),
]


@pytest.mark.parametrize(("changes", "reason"), REFUSED_PACKS, ids=[reason for _, reason in REFUSED_PACKS])
def test_what_does_not_fit_the_format_is_not_packed(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        modelfile.pack(**good(**changes))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_accumulator_may_reach_all_but_two_to_the_24() -> None:
    layers = [exact_layer((1 << 24) - 1)]
    (read,) = modelfile.layers_of(modelfile.parse(modelfile.pack(**good(layers=layers))))
    np.testing.assert_array_equal(read.biases, layers[0].biases)


def narrow_layer(accumulator: int) -> DenseLayer:
    """Three outputs over 20 inputs whose highest accumulator is `accumulator`."""
    return DenseLayer(np.full((3, 20), 6, np.int8), np.full(3, accumulator - 20 * 6 * 255, np.int32))


@pytest.mark.parametrize(("accumulator", "narrow"), [(32767, True), (32768, False)])
def test_a_layer_is_narrow_as_long_as_no_accumulator_can_leave_int16(accumulator: int, narrow: bool) -> None:
    model = modelfile.parse(modelfile.pack(**good(layers=[narrow_layer(accumulator)])))
    assert model.layers[0].narrow is narrow


def test_a_file_that_calls_a_layer_narrow_which_is_not_is_refused() -> None:
    data = modelfile.pack(**good(layers=[narrow_layer(32767)]))
    bias = read_on_the_board(data).layers[0].bias_offset
    one_more = forge(data, (bias, struct.pack("<i", 32768 - 20 * 6 * 255)))
    with pytest.raises(ModelFileError, match="layer 0: got an accumulator that can leave 16 bits"):
        modelfile.parse(one_more)


# --- convolutions -----------------------------------------------------------------------------------------


def convolution(kernel: tuple[int, ...] = (3, 3, 1, 2), weight: int = 1, **more: Any) -> ConvLayer:
    biases = np.zeros(kernel[-1], np.int32)
    return ConvLayer(np.full(kernel, weight, np.int8), biases, **{"shift": 6, "top": 31, **more})


def test_a_convolution_is_read_back_as_it_was_packed() -> None:
    layers = [convolution((3, 3, 1, 2), 5, pad=1), convolution((2, 3, 2), -3, stride=(1, 2)), layer(3, 12)]
    model = modelfile.parse(modelfile.pack(**good(layers=layers)))
    for packed, read in zip(layers, modelfile.layers_of(model), strict=True):
        np.testing.assert_array_equal(packed.weights, read.weights)
        np.testing.assert_array_equal(packed.biases, read.biases)
        assert (packed.shift, packed.top) == (read.shift, read.top)
        if isinstance(packed, ConvLayer):
            assert isinstance(read, ConvLayer)
            assert (packed.stride, packed.pad, packed.pool) == (read.stride, read.pad, read.pool)
            assert packed.depthwise == read.depthwise
    assert [part.shape for part in model.layers] == [(2, 4, 5), (2, 3, 2), (3, 1, 1)]
    assert modelfile.macs(model) == 9 * 2 * 20 + 6 * 2 * 6 + 3 * 12
    assert modelfile.chain(model) == "20 -> 2 @ 3x3 padded -> depthwise 2 @ 2x3 stride 1x2 -> 3"


def test_shifted_ink_and_a_score_for_no_digit_are_read_back() -> None:
    model = modelfile.parse(
        modelfile.pack(**good(layers=[layer(6, 20, shift=9), layer(4, 6)], rejects=True, ink_shift=3))
    )
    assert (model.rejects, model.ink_shift, model.classes, model.layers[-1].outputs) == (True, 3, 3, 4)


REFUSED_CONVOLUTIONS: list[tuple[list[Any], dict[str, Any], str]] = [
    ([convolution(weight=2), layer(3, 12)], {}, "layer 0: got accumulators from 32 to 4622 and 18 even weights"),
    ([convolution(weight=15), layer(3, 12)], {}, "layer 0: got accumulators from 32 to 34457 and 0 even weights"),
    ([convolution(weight=-15), layer(3, 12)], {}, "layer 0: got accumulators from -34393 to 32"),
    ([convolution((5, 3, 1, 2)), layer(3, 12)], {}, "do not fit together"),
    ([convolution(pool=2), layer(3, 12)], {}, "do not fit together"),
    ([convolution(pool=3), layer(3, 12)], {}, "do not fit together"),
    ([convolution(stride=(0, 1)), layer(3, 12)], {}, "do not fit together"),
    ([convolution(top=0), layer(3, 12)], {}, "do not fit together"),
    ([convolution((3, 3, 2, 2)), layer(3, 12)], {}, "do not fit together"),
    ([convolution(top=256), layer(3, 12)], {}, "a layer does not fit its fields"),
    ([layer(6, 20, shift=9), convolution((1, 1, 6, 3))], {}, "layer 1: got a convolution as the last layer"),
    ([convolution((9, 1)), layer(3, 12)], {}, "layer 0: got weights (9, 1)"),
    ([convolution(), layer(4, 12)], {}, "its classes, labels and layers do not agree"),
    ([convolution(), layer(3, 12)], {"rejects": True}, "its classes, labels and layers do not agree"),
    ([convolution(), layer(3, 12)], {"ink_shift": 8}, "out of range"),
]


@pytest.mark.parametrize(("layers", "changes", "reason"), REFUSED_CONVOLUTIONS)
def test_a_convolution_that_the_board_could_not_run_is_not_packed(
    layers: list[Any], changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelFileError) as caught:
        modelfile.pack(**good(**{"layers": layers, "ink_shift": 0, **changes}))
    assert reason in str(caught.value)


def test_what_an_activation_can_reach_bounds_the_next_layer() -> None:
    """Weights that could leave int16 for activations of 31, but not for the 4 that this layer before can make."""
    first = convolution((3, 3, 1, 2), 1, shift=9)
    assert modelfile.parse(modelfile.pack(**good(layers=[first, convolution((2, 3, 2, 2), 127), layer(3, 2)])))


def test_a_file_from_elsewhere_whose_accumulator_is_too_large_is_refused_too() -> None:
    data = modelfile.pack(**good(layers=[exact_layer((1 << 24) - 1)]))
    bias = read_on_the_board(data).layers[0].bias_offset
    one_more = forge(data, (bias, struct.pack("<i", -((1 << 24) - 20 * FULL))))
    with pytest.raises(ModelFileError, match="accumulator of up to 16777216"):
        modelfile.parse(one_more)


# --- what is not read -------------------------------------------------------------------------------------

FIRST_LAYER = layout.HEADER_BYTES + 12  # "circle\nö\n7" is 11 bytes, padded to 12
BLANK = modelfile.pack(**good(layers=[DenseLayer(np.zeros((3, 20), np.int8), np.zeros(3, np.int32))]))

REFUSED_FILES: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "got 0 bytes, need at least 60"),
    ("a scrap", GOOD[:59], "got 59 bytes, need at least 60"),
    ("half", GOOD[: len(GOOD) // 2], f"need {len(GOOD)}: the copy is not whole"),
    ("one byte more", GOOD + b"\0", f"got {len(GOOD) + 1} bytes, need {len(GOOD)}"),
    ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(100), "need one that starts with PDM"),
    ("the first format", forge(GOOD, (3, b"\x01")), "got format 1, need 2. Train it again"),
    ("a flipped bit", GOOD[:70] + bytes([GOOD[70] ^ 1]) + GOOD[71:], "the checksum is wrong"),
    ("no layers", forge(GOOD, (39, b"\0")), "out of range"),
    ("too many layers", forge(GOOD, (39, b"\xff")), "model file: "),
    (
        "labels without end",
        forge(BLANK, (46, struct.pack("<H", len(BLANK) - 60)), (FIRST_LAYER, bytes(20))),
        "lies outside the file",
    ),
    ("a layer of another kind", forge(GOOD, (FIRST_LAYER, b"\x03")), "got layer kind 3, need 1 or 2"),
    ("a convolution that pools by 0", forge(GOOD, (FIRST_LAYER, b"\x02")), "do not fit together"),
    ("numbers beyond the end", forge(GOOD, (FIRST_LAYER + 16, b"\xf0\xff\0\0")), "do not fit together"),
    ("numbers off by one", forge(GOOD, (FIRST_LAYER + 16, struct.pack("<I", 109))), "do not fit together"),
    ("another ink", forge(GOOD, (36, b"\x05")), "do not fit together"),
    ("one class fewer", forge(GOOD, (38, b"\x02")), "do not agree"),
    ("an octave of zero", forge(GOOD, (40, bytes(4))), "out of range"),
    ("labels not UTF-8", forge(GOOD, (layout.HEADER_BYTES, b"\xff")), "is not UTF-8"),
    ("a name not UTF-8", forge(GOOD, (20, b"\xff")), "is not UTF-8"),
]


@READERS
@pytest.mark.parametrize(("data", "reason"), [case[1:] for case in REFUSED_FILES], ids=[c[0] for c in REFUSED_FILES])
def test_a_file_that_is_not_a_whole_model_is_refused(read: Callable[[bytes], Any], data: bytes, reason: str) -> None:
    with pytest.raises((ModelFileError, layout.ModelFileError)) as caught:
        read(data)
    assert reason in str(caught.value)
    assert outcome(read, data) == "refused"


@pytest.mark.parametrize("offset", [8, 20, layout.HEADER_BYTES], ids=["preprocessing", "name", "label"])
def test_control_characters_of_a_strange_file_do_not_reach_the_terminal(offset: int, tmp_path: Path) -> None:
    path = tmp_path / "strange.pdm"
    path.write_bytes(forge(GOOD, (offset, b"\x1b[2J")))
    with pytest.raises(ModelFileError, match="without control characters"):
        modelfile.read(path)


@READERS
@FAST
@given(length=st.integers(0, len(GOOD) - 1))
def test_every_truncation_is_refused(read: Callable[[bytes], Any], length: int) -> None:
    assert outcome(read, GOOD[:length]) == "refused"


@READERS
@FAST
@given(more=st.binary(min_size=1, max_size=100))
def test_every_extension_is_refused(read: Callable[[bytes], Any], more: bytes) -> None:
    assert outcome(read, GOOD + more) == "refused"


@READERS
def test_every_flipped_bit_is_refused(read: Callable[[bytes], Any]) -> None:
    for bit in range(8 * len(GOOD)):
        damaged = bytearray(GOOD)
        damaged[bit // 8] ^= 1 << bit % 8
        assert outcome(read, bytes(damaged)) == "refused", bit


@READERS
@FAST
@given(data=st.binary(max_size=300), whole=st.booleans())
def test_random_bytes_raise_nothing_else(read: Callable[[bytes], Any], data: bytes, whole: bool) -> None:
    if whole and len(data) >= 8:
        data = forge(layout.MAGIC + bytes([layout.VERSION]) + data + bytes(60))
    outcome(read, data)


@READERS
@pytest.mark.parametrize("name", ["small", "best"])
def test_no_value_of_any_byte_before_the_numbers_raises_anything_else(read: Callable[[bytes], Any], name: str) -> None:
    data = GOOD if name == "small" else modelfile.find(name).data
    assert isinstance(data, bytes)
    first = FIRST_LAYER if name == "small" else layout.HEADER_BYTES
    for offset in range(8, first + 2 * layout.LAYER_BYTES):
        for value in range(256):
            outcome(read, forge(data, (offset, bytes([value]))))


@READERS
@settings(max_examples=600, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(8, FIRST_LAYER + 2 * layout.LAYER_BYTES), st.binary(min_size=1, max_size=4)))
)
def test_a_wrong_file_with_a_right_checksum_raises_nothing_else(
    read: Callable[[bytes], Any], changes: list[tuple[int, bytes]]
) -> None:
    outcome(read, forge(GOOD, *changes))


# --- files ------------------------------------------------------------------------------------------------


def test_a_model_is_found_by_its_name_and_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.pdm"
    modelfile.write(path, GOOD)
    assert modelfile.find(str(path)).name == "small"
    for name in modelfile.pretrained():
        assert modelfile.find(name).name == name


@pytest.mark.parametrize("name", ["artcle", "", "no/such", "article.txt"])
def test_an_unknown_name_is_answered_with_the_names_there_are(name: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        modelfile.find(name)
    assert f"got {name!r}" in str(caught.value)
    assert "article" in str(caught.value)


def test_a_near_miss_is_answered_with_the_name_meant() -> None:
    with pytest.raises(ModelFileError, match="Did you mean article"):
        modelfile.find("artcle")


def test_a_path_that_holds_no_model_file_is_refused_by_name(tmp_path: Path) -> None:
    scrap = tmp_path / "scrap.pdm"
    scrap.write_bytes(GOOD[:100])
    large = tmp_path / "large.pdm"
    with large.open("wb") as file:
        file.truncate(modelfile.MAX_FILE_BYTES + 1)
    for path, reason in [
        (tmp_path / "none.pdm", "got no such file"),
        (tmp_path, "got a folder"),
        (scrap, "got 100 bytes"),
        (large, f"need at most {modelfile.MAX_FILE_BYTES}"),
        (tmp_path / ("x" * 300 + ".pdm"), "need a readable model file"),
    ]:
        with pytest.raises(ModelFileError) as caught:
            modelfile.read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert reason in str(caught.value)


def test_writing_makes_missing_folders_and_replaces_an_older_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "mine.pdm"
    modelfile.write(path, b"old")
    modelfile.write(path, GOOD)
    assert path.read_bytes() == GOOD
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_leaves_the_older_model_and_no_scraps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.pdm"
    modelfile.write(path, GOOD)

    def full(part: Path, data: bytes) -> None:
        with part.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(modelfile, "_write_whole", full)
    with pytest.raises(ModelFileError, match="No space left on device"):
        modelfile.write(path, GOOD + GOOD)
    assert path.read_bytes() == GOOD
    assert list(tmp_path.iterdir()) == [path]


def test_a_model_is_not_written_over_a_file_or_a_folder_unasked(tmp_path: Path) -> None:
    path = tmp_path / "mine.pdm"
    modelfile.need_new(path, force=False)
    modelfile.write(path, GOOD)
    with pytest.raises(ModelFileError, match="--force"):
        modelfile.need_new(path, force=False)
    modelfile.need_new(path, force=True)
    with pytest.raises(ModelFileError, match="got a folder"):
        modelfile.need_new(tmp_path, force=True)
