"""Programs shortened for the board. Adafruit's drivers: the same writes on the bus, the same values under the same
names; our own modules: the same readings."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from picodigits import camera, datasets, modelfile
from picodigits.export.bundle import circuitpy_files, library_files
from picodigits.export.lean import asked_of, lean, ours
from picodigits_board import preprocess, reading
from picodigits_board.network import Network

DRIVERS = library_files(("adafruit_ov7670", "adafruit_bus_device"))
CAMERA = DRIVERS["lib/adafruit_ov7670.py"]


BOARD = {
    entry.name: entry.read_bytes()
    for entry in resources.files("picodigits_board").iterdir()
    if entry.name.endswith(".py")
}


class Wire:
    """An I2C device that keeps what is written and answers with the last value of a register."""

    def __init__(self, _bus: object, _address: int) -> None:
        self.registers = bytearray(range(256))
        self.written: list[bytes] = []

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def write(self, data: bytearray) -> None:
        self.written.append(bytes(data))
        if len(data) == 2:
            self.registers[data[0]] = data[1]
        self.asked = data[0]

    def readinto(self, buffer: bytearray) -> None:
        buffer[0] = self.registers[self.asked]


def run(source: bytes, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The module, on modules of CircuitPython that do nothing."""
    pins = SimpleNamespace(switch_to_output=lambda level: None, deinit=lambda: None)
    stubs = {
        "micropython": {"const": lambda value: value},
        "pwmio": {"PWMOut": lambda *_, **__: SimpleNamespace(deinit=lambda: None)},
        "digitalio": {"DigitalInOut": lambda _pin: pins},
        "imagecapture": {"ParallelImageCapture": lambda **_: pins},
        "adafruit_bus_device.i2c_device": {"I2CDevice": Wire},
        "time": {"sleep": lambda _s: None},
    }
    made: dict[str, Any] = {"__name__": "driver"}
    with monkeypatch.context() as patch:
        for name, content in stubs.items():
            module = ModuleType(name)
            vars(module).update(content)
            patch.setitem(sys.modules, name, module)
        exec(compile(source, "driver", "exec", dont_inherit=True), made)
    return made


def ran(source: str | bytes) -> dict[str, Any]:
    """What a module holds once it has run."""
    names: dict[str, Any] = {}
    exec(source, names)
    return names


def test_what_is_left_of_the_driver_for_the_application_writes_the_same_registers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    application = [source for name, source in BOARD.items() if name != "code.py"]
    asked = asked_of([*application, DRIVERS["lib/adafruit_bus_device/i2c_device.py"]])
    written = []
    for source in (CAMERA, lean(CAMERA, asked)):
        module = run(source, monkeypatch)
        wires: list[Wire] = []
        module["I2CDevice"] = lambda bus, address, wires=wires: wires.append(Wire(bus, address)) or wires[-1]
        driver = module["OV7670"](None, data_pins=[], clock=None, vsync=None, href=None)
        for size in ("OV7670_SIZE_DIV8", "OV7670_SIZE_DIV4"):
            driver.size = module[size]
        driver.flip_x, driver.flip_y = True, False
        driver.flip_y = True
        written.append(wires[0].written)
    assert len(written[0]) > 100
    assert written[1] == written[0]
    left = lean(CAMERA, asked).decode()
    assert "night" in CAMERA.decode()
    assert "night" not in left
    assert "SPDX-License-Identifier: MIT" in left


def registers_written(module: dict[str, Any]) -> list[bytes]:
    camera = module["OV7670"](None, [], None, None, None)
    for size in range(5):
        camera.size = size
    camera.flip_x = camera.flip_y = True
    camera.test_pattern = module["OV7670_TEST_PATTERN_COLOR_BAR_FADE"]
    camera.night = module["OV7670_NIGHT_MODE_4"]
    camera.colorspace = module["OV7670_COLOR_YUV"]
    written: list[bytes] = camera._i2c_device.written
    return written


def test_the_cameras_driver_writes_the_same_registers_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, short = run(CAMERA, monkeypatch), run(lean(CAMERA), monkeypatch)
    written = registers_written(whole)
    assert len(written) > 200
    assert registers_written(short) == written


def test_public_names_keep_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, short = run(CAMERA, monkeypatch), run(lean(CAMERA), monkeypatch)
    values = {name: value for name, value in whole.items() if name.startswith("OV7670_")}
    assert len(values) > 10
    assert {name: short.get(name) for name in values} == values


@pytest.mark.parametrize("path", sorted(path for path, content in DRIVERS.items() if content))
def test_a_driver_keeps_its_licence_and_loses_what_only_readers_need(path: str) -> None:
    made = lean(DRIVERS[path]).decode()
    assert "SPDX-License-Identifier: MIT" in made
    assert made.count("SPDX-FileCopyrightText") == DRIVERS[path].decode().count("# SPDX-FileCopyrightText")
    assert '"""' not in made
    assert "Optional[" not in made
    assert len(made) < 0.6 * len(DRIVERS[path])


def test_a_constant_that_is_assigned_again_keeps_its_name() -> None:
    made = lean(b"from micropython import const\n_A = const(3)\n_B = const(4)\n_B = const(5)\nC = _A + 1\nD = _B\n")
    seen: dict[str, Any] = {}
    exec(made.replace(b"from micropython import const", b"pass"), seen)
    assert (seen["C"], seen["D"], "_A" in seen) == (4, 5, False)


def test_our_modules_as_they_go_onto_the_board_read_frames_as_the_project_does(tmp_path: Path) -> None:
    """In a process of their own, where ulab is NumPy."""
    model = modelfile.find("tiny")
    files = circuitpy_files(model.data)
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    (tmp_path / "lib" / "ulab.py").write_text("import numpy\n")
    frames = camera.photograph(datasets.load("digits", "test").images[:8], "desk", seed=2)
    np.save(tmp_path / "frames.npy", frames)
    program = (
        "import sys; sys.path[:0] = ['lib']\n"
        "import numpy as np\n"
        "from picodigits_board import modelfile, network, preprocess, reading\n"
        "assert open(network.__file__).read().startswith('# Shortened')\n"
        "assert network.Network.__init__.__defaults__[0] == 1\n"
        "model = modelfile.Model(open('model.pdm', 'rb'))\n"
        "finder = preprocess.make(model.preprocess_id, model.ink_height, model.ink_width)\n"
        "reader = reading.make(model, finder, network.Network(model), 1, False)\n"
        "for frame in np.load('frames.npy'):\n"
        "    flat = frame.view(np.uint8).ravel()\n"
        "    reader.look(flat)\n"
        "    reader.read(flat)\n"
        "    print(reader.text, reader.confidence, reader.scores, reader.ink.tobytes().hex())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.append({str(Path(np.__file__).parents[1])!r})\n{program}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    reader = reading.make(
        model, preprocess.make(model.preprocess_id, model.ink_height, model.ink_width), Network(model, 1), 1, False
    )
    want = []
    for frame in frames:
        flat = np.ascontiguousarray(frame).view(np.uint8).ravel()
        reader.look(flat)
        reader.read(flat)
        assert reader.ink is not None
        want.append(f"{reader.text} {reader.confidence} {reader.scores} {reader.ink.tobytes().hex()}")
    assert ran.stdout.splitlines() == want


def test_our_modules_lose_what_only_readers_and_the_pc_need() -> None:
    made = ours(BOARD, keep=("pins.py",))
    assert made["pins.py"] == BOARD["pins.py"]
    for name, content in made.items():
        text = content.decode()
        if name != "pins.py":
            assert '"""' not in text
            assert "TYPE_CHECKING" not in text
            assert "import numpy as np" not in text.replace("from ulab import numpy as np", "")
    assert sum(map(len, made.values())) < 0.6 * sum(map(len, BOARD.values()))


def test_numbers_stand_in_the_place_of_their_names_but_where_a_module_that_is_kept_asks_for_them() -> None:
    modules = {
        "a.py": b"FAR = 3\nNEAR = 2 * FAR\nOTHER = 5\nDOUBLE = 1\nDOUBLE = 2\nTEXT = 'abc'\nSHAPES = ((1, 2), 3)\n"
        b"def f():\n    return NEAR + OTHER + DOUBLE\ndef g():\n    return TEXT\n",
        "b.py": b"from a import NEAR, f, g\nimport a\nfound = (a.FAR, NEAR)\n",
        "c.py": b"from b import NEAR\nthird = NEAR + 1\n",
        "kept.py": b"import a, b, c\nprint(a.FAR, b.found, c.third)\n",
    }
    made = {name: source.decode() for name, source in ours(modules, keep=("kept.py",)).items()}
    seen: dict[str, Any] = {}
    exec(made["a.py"], seen)
    assert (seen["FAR"], seen["f"](), seen["g"]()) == (3, 13, "abc")
    assert not {"NEAR", "OTHER", "TEXT", "SHAPES"} & set(seen)
    assert "import f, g" in made["b.py"]
    assert "found = (3, 6)" in made["b.py"]
    assert made["c.py"].endswith("\nthird = 7\n")


FAMILY = {
    "base.py": b"_SCALE = [2]\ndef helper(x):\n    return x * _SCALE[0]\nclass Base:\n    def __init__(self):\n"
    b"        self._count, self.open = 1, 2\n    def _step(self):\n        self._count = helper(self._count)\n"
    b"    def peek(self, other):\n        return other._hidden\n",
    "derived.py": b"from base import Base\nclass Derived(Base):\n    def __init__(self):\n        super().__init__()\n"
    b"        self._own = self._hidden = 5\n    def run(self):\n        self._step()\n"
    b"        return self._count, self._own, self.open, self.peek(self)\n",
    "kept.py": b"import derived\nresult = derived.Derived().run()\n",
}


def test_private_names_get_short_ones_that_classes_built_on_each_other_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ours(FAMILY, keep=("kept.py",))
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("base", "derived", "kept"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    kept = importlib.import_module("kept")
    assert kept.result == (2, 5, 2, 5)
    text = b"".join(made.values()).decode()
    for name in ("_SCALE", "helper", "_count", "_step", "_own"):
        assert name not in text
    assert text.count("_hidden") == 2  # is asked for of something else than self


def test_statements_stand_side_by_side_and_do_the_same() -> None:
    source = (
        b"def f(x, y):\n    total = 0\n    for i in range(x):\n        if i % 2:\n            total += i\n"
        b"            continue\n        elif y:\n            total -= 1\n        try:\n            total += 1 // y\n"
        b"        except ZeroDivisionError:\n            total += 100\n    while total > 50:\n        total -= 7\n"
        b"    return total, 'if:', [k for k in 'a:']\n"
    )
    made = ours({"a.py": source, "b.py": b"from a import f\n"})["a.py"].decode()
    whole, short = ran(source), ran(made)
    for given in ((5, 0), (5, 2), (40, 1), (0, 0)):
        assert short["f"](*given) == whole["f"](*given)
    assert made.count("\n") < source.count(b"\n") - 4
    assert max(map(len, made.splitlines())) <= 120


def test_annotations_are_left_out_and_what_they_annotate_stays() -> None:
    source = (
        b"class A:\n    x: int\n    y: int = 4\n    def f(self, a: int) -> None:\n        self.b: list[int] = [a]\n"
    )
    source += b"class B:\n    z: int\n"
    made = ours({"a.py": source, "b.py": b"from a import A, B\n"})["a.py"].decode()
    seen: dict[str, Any] = {}
    exec(made, seen)
    a = seen["A"]()
    a.f(7)
    assert (a.y, a.b, hasattr(a, "x")) == (4, [7], False)
    assert "int" not in made


def test_variables_get_short_names_and_what_others_can_see_keeps_its_own() -> None:
    source = (
        b"import struct as packing\n"
        b"total = 0\n"
        b"def count(rows, scale=2, *, start=0):\n"
        b"    global total\n"
        b"    from math import floor\n"
        b"    a = start\n"
        b"    for number, row in enumerate(rows):\n"
        b"        a += sum([cell * scale for cell in row]) + number\n"
        b"    try:\n"
        b"        total = floor(a) + len(packing.pack('<H', 1))\n"
        b"    except TypeError as error:\n"
        b"        return str(error)\n"
        b"    return total\n"
        b"def outer(first):\n"
        b"    def inner(second):\n"
        b"        return first + second\n"
        b"    return inner(1)\n"
        b"def by_name(rows):\n"
        b"    return count(rows, start=1, scale=3)\n"
    )
    made = ours({"a.py": source, "b.py": b"from a import total, count, outer, by_name\n"})["a.py"].decode()
    whole, short = ran(source), ran(made)
    rows = [[1, 2], [3]]
    for name, given in (("count", (rows,)), ("by_name", (rows,)), ("outer", (4,)), ("count", (rows, 1.5))):
        assert short[name](*given) == whole[name](*given)
    assert short["count"]([], start=None) == whole["count"]([], start=None) == "must be real number, not NoneType"
    assert short["total"] == whole["total"]
    assert "number" not in made
    assert "cell" not in made
    assert "scale=2" in made
