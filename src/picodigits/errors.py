"""Every error that picodigits raises on purpose, in one tree.

    PicodigitsError
    ├── FrameError        a picture that is not a frame
    ├── DatasetError      missing, damaged or mislabelled data
    ├── ModelFileError    a model file that can't be read, written or run
    ├── TrainingError     training that can't start or has nothing to learn from
    ├── ExportError       an export that can't be made or is not equal to its model
    ├── BenchError        the emulated board
    │   └── FirmwareError a CircuitPython UF2 that is missing or wrong
    └── BoardError        a real board: its profile, its drive, its port
        ├── LinkError     a serial port that can't be opened, falls silent or speaks another version
        ├── WiringError   pins that can't be, or a drawing that can't be made
        └── DeployError   a drive that can't take the application

The text follows `<thing>: got <observed>, need <expected>. <next command or likely cause>`.
The command line prints it on one line to stderr and exits with 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PicodigitsError(Exception):
    """Root of all errors raised on purpose; the text tells the user what to do next."""


class FrameError(PicodigitsError):
    """A picture or buffer that is not a frame: wrong size, type or format."""


class DatasetError(PicodigitsError):
    """A dataset that is missing, damaged, truncated or mislabelled."""


class ModelFileError(PicodigitsError):
    """A model file that can't be read, written or run here."""


class TrainingError(PicodigitsError):
    """Training that can't start, or has nothing to learn from."""


class ExportError(PicodigitsError):
    """An export that can't be made, or that does not equal its model."""


class BenchError(PicodigitsError):
    """The emulated board could not be built, started or listened to."""


class FirmwareError(BenchError):
    """A CircuitPython UF2 that is missing, damaged or made for another board."""


class BoardError(PicodigitsError):
    """A board that is not known, not found, or not the only one."""


class LinkError(BoardError):
    """A board's serial port that can't be opened, is cut off, falls silent, or speaks another version."""


class WiringError(BoardError):
    """Pins that do not exist, are taken twice or can't do what they are for."""


class DeployError(BoardError):
    """The application could not be put onto a drive; what is there does not run half-made."""


def did_you_mean(got: str, names: Iterable[str]) -> str:
    """` Did you mean NAME?` (with a space before it) where one of `names` is near to `got`, else nothing."""
    near = get_close_matches(got, list(names), n=1)
    return f" Did you mean {near[0]}?" if near else ""
