"""The files that belong on CIRCUITPY for the application, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from picodigits import modelfile
from picodigits.errors import ExportError
from picodigits.export.lean import asked_of, lean, ours
from picodigits.export.strokes import digits_file

# Adafruit's libraries: module -> its files (none for a single-file module), the package on PyPI that brings it.
_LIBRARIES: dict[str, tuple[tuple[str, ...], str]] = {
    "adafruit_ov7670": ((), "adafruit-circuitpython-ov7670"),
    "adafruit_st7735r": ((), "adafruit-circuitpython-st7735r"),
    "adafruit_bus_device": (("__init__.py", "i2c_device.py", "spi_device.py"), "adafruit-circuitpython-busdevice"),
    "adafruit_display_text": (("__init__.py", "label.py"), "adafruit-circuitpython-display-text"),
}
_DRIVERS = ("adafruit_ov7670", "adafruit_bus_device")  # what the application imports
_AS_THEY_ARE = (
    "code.py",
    "__init__.py",
    "pins.py",
    "settings.py",
)  # to be read, and pins.py to be changed, on the drive
_KEY = re.compile(r"PICODIGITS_[A-Z0-9_]+")
_INT_LIMIT = 1 << 30  # what CircuitPython holds without a long integer


def circuitpy_files(model_data: bytes, settings: Mapping[str, str | int] | None = None) -> dict[str, bytes]:
    """Path on CIRCUITPY -> content, for the whole application.

    code.py, settings.toml, model.pdm, lib/picodigits_board/ with the shapes of the large digits, and Adafruit's
    drivers in lib/; but for what is there to be read or changed, the modules are shortened (see `lean`).

    model_data  a model file
    settings    what settings.toml says to the application: PICODIGITS_... -> str or int
    Raises ModelFileError for bytes that are no model file, ExportError for a setting that does not fit or a
    driver that is not installed.
    """
    modelfile.parse(model_data)
    files = {
        "code.py": _application(),
        "settings.toml": _settings_toml(settings or {}).encode(),
        "model.pdm": model_data,
    }
    for name, content in sorted(_board_package().items()):
        files[f"lib/picodigits_board/{name}"] = content
    files["lib/picodigits_board/digits.bin"] = digits_file()
    drivers = library_files(_DRIVERS)
    for path, content in drivers.items():
        others = [source for other, source in drivers.items() if other != path]
        files[path] = lean(content, asked_of([*_sources().values(), *others]))
    return files


def library_files(modules: Iterable[str]) -> dict[str, bytes]:
    """Path on CIRCUITPY -> content of Adafruit's libraries, as their PyPI packages have them.

    Raises ExportError for one that is not installed.
    """
    files: dict[str, bytes] = {}
    for module in modules:
        files.update(_library(module, *_LIBRARIES[module]))
    return files


@cache
def _board_package() -> dict[str, bytes]:
    modules = _sources()
    short = ours({**modules, "code.py": _application()}, keep=_AS_THEY_ARE)
    return {name: short[name] for name in modules}


@cache
def _sources() -> dict[str, bytes]:
    return {
        entry.name: entry.read_bytes()
        for entry in resources.files("picodigits_board").iterdir()
        if entry.name.endswith(".py") and entry.name != "code.py"
    }


def _application() -> bytes:
    try:
        return (resources.files("picodigits_board") / "code.py").read_bytes()
    except OSError as error:
        raise ExportError(
            "picodigits_board: got a package without code.py, need the application. "
            "Run pip install --force-reinstall picodigits."
        ) from error


def _library(module: str, parts: tuple[str, ...], package: str) -> dict[str, bytes]:
    """The files of one installed module, read without importing it: it needs a board to import."""
    try:
        spec = find_spec(module)
        if parts:
            folder = Path((spec.submodule_search_locations or [])[0])  # type: ignore[union-attr]
            return {f"lib/{module}/{part}": (folder / part).read_bytes() for part in parts}
        return {f"lib/{module}.py": Path(spec.origin or "").read_bytes()}  # type: ignore[union-attr]
    except (AttributeError, IndexError, OSError, ValueError) as error:
        raise ExportError(
            f"{module}: got no such module, need its source for CIRCUITPY/lib. Run pip install {package}."
        ) from error


def _settings_toml(settings: Mapping[str, str | int]) -> str:
    lines = ["# Settings of picodigits, made by its export; code.py reads them with os.getenv.\n"]
    for key, value in settings.items():
        if not _KEY.fullmatch(key):
            raise ExportError(
                f"setting: got the name {key!r}, need PICODIGITS_ and then A-Z, 0-9 or _. Check its spelling."
            )
        lines.append(f"{key} = {_toml(key, value)}\n")
    return "".join(lines)


def _toml(key: str, value: str | int) -> str:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ExportError(
                f"setting {key}: got text that is not Unicode ({error.reason}). Write it anew."
            ) from error
        return f'"{"".join(_escaped(letter) for letter in value)}"'
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT_LIMIT <= value < _INT_LIMIT:
        raise ExportError(f"setting {key}: got {value!r}, need text or a whole number of at most 30 bits.")
    return str(value)


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if ord(letter) < 32 or ord(letter) == 127:
        return f"\\u{ord(letter):04x}"
    return letter
