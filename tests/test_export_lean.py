"""Adafruit's drivers, shortened for the board: the same writes on the bus, the same values under the same names."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from picodigits.export.bundle import library_files
from picodigits.export.lean import lean

DRIVERS = library_files(("adafruit_ov7670", "adafruit_bus_device"))
CAMERA = DRIVERS["lib/adafruit_ov7670.py"]


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
    exec(made.replace(b"from micropython import const", b""), seen)
    assert (seen["C"], seen["D"], "_A" in seen) == (4, 5, False)
