"""A model file -> a folder of files for a target, with a proof that they equal the integer network."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picodigits.errors import ExportError
from picodigits.export.bundle import circuitpy_files
from picodigits.export.compact import compact_source
from picodigits.export.m2cgen_python import board_exactness, estimator_source, minified, model_source
from picodigits.export.proof import Proof, compare, proof_inks, scorers
from picodigits.frames import replace_atomically
from picodigits_board.modelfile import Model

__all__ = [
    "TARGETS",
    "Exported",
    "Proof",
    "circuitpy_files",
    "compact_source",
    "estimator_source",
    "export",
    "minified",
    "model_source",
    "proof_inks",
    "prove",
    "render",
    "sizes",
]

TARGETS: dict[str, str] = {
    "m2cgen": "pure Python as the article has it: svm.py and svm_min.py; linear models only",
    "compact": "pure Python in one small file, picodigits_model.py; plain dense networks",
    "circuitpython": "the whole application: copy the folder to the CIRCUITPY drive",
}
COMPACT_NAME = "picodigits_model.py"
RECORD = ".picodigits-export.json"  # path -> SHA-256 of what was exported into a folder


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    target  a key of TARGETS
    folder  where
    files   path below the folder -> bytes
    proof   what was run, over what, and that nothing differed
    note    what else to know about this export, one line, or ""
    sizes   the same model in each form -> bytes, side by side; None where that form can't hold it
    """

    target: str
    folder: Path
    files: dict[str, int]
    proof: Proof
    note: str = ""
    sizes: dict[str, int | None] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """All files together."""
        return sum(self.files.values())


def export(
    target: str,
    model: Model,
    folder: str | Path,
    *,
    settings: Mapping[str, str | int] | None = None,
    inks: NDArray[np.uint8] | None = None,
    force: bool = False,
) -> Exported:
    """Write `model` for `target` into `folder`, after proving the files equal to the integer network.

    settings  for settings.toml of the target circuitpython, PICODIGITS_... -> str or int
    inks      (N, H, W) uint8 to prove it on; `proof_inks(model)` unless given
    force     overwrite files even where they are not an earlier export, left as it was
    Each file is written whole or not at all; none is written unless all may be.
    Raises ExportError.
    """
    files = render(target, model, settings)
    proof = prove(target, model, proof_inks(model) if inks is None else inks, files)
    if proof.mismatches:
        raise ExportError(
            f"export {target}: got {proof.mismatches} inks that differ from the integer network, need 0 "
            f"({proof.first}). Nothing was written; please report this."
        )
    folder = Path(folder)
    _write(folder, files, force)
    written = {name: len(data) for name, data in files.items()}
    note = board_exactness(model) if target == "m2cgen" else ""
    return Exported(target, folder, written, proof, note, sizes(model, files if target == "m2cgen" else None))


def render(target: str, model: Model, settings: Mapping[str, str | int] | None = None) -> dict[str, bytes]:
    """Path -> content of what `export` writes. Raises ExportError."""
    if target not in TARGETS:
        raise ExportError(f"target: got {target}, need one of {', '.join(TARGETS)}.")
    if settings and target != "circuitpython":
        raise ExportError(f"settings: got some for the target {target}, need none. Only circuitpython has settings.")
    if target == "circuitpython":
        return circuitpy_files(model.data, settings)
    if target == "compact":
        return {COMPACT_NAME: compact_source(model).encode()}
    source = model_source(model)
    return {"svm.py": source.encode(), "svm_min.py": minified(source).encode()}


def prove(target: str, model: Model, inks: NDArray[np.uint8], files: Mapping[str, bytes] | None = None) -> Proof:
    """Run the exported programs over inks (N, H, W) uint8 and compare them with the integer network.

    files  what was exported; what `render` gives unless given
    Raises ExportError for inks that do not fit the model, or files that do not run.
    """
    files = render(target, model) if files is None else files
    try:
        return compare(scorers(files), model, inks)
    except ExportError:
        raise
    except Exception as error:  # whatever a damaged program may do
        raise ExportError(
            f"export {target}: got {type(error).__name__} from the exported program ({error}), need scores. "
            "Export it again."
        ) from error


def sizes(model: Model, m2cgen_files: Mapping[str, bytes] | None = None) -> dict[str, int | None]:
    """The same model as svm.py, svm_min.py, the compact export and the model file.

    m2cgen_files  what `render("m2cgen", model)` gave, where it is at hand
    Returns name -> bytes, or None where that form can't take the model: for m2cgen more than one layer or too
    many features, for compact a convolution.
    """
    result: dict[str, int | None] = {"svm.py": None, "svm_min.py": None}
    with contextlib.suppress(ExportError):
        m2cgen_files = m2cgen_files or render("m2cgen", model)
        result.update({name: len(data) for name, data in m2cgen_files.items()})
    result[COMPACT_NAME] = None
    with contextlib.suppress(ExportError):
        result[COMPACT_NAME] = len(compact_source(model).encode())
    result["model file"] = len(model.data)
    return result


def _write(folder: Path, files: Mapping[str, bytes], force: bool) -> None:
    try:
        record = _read_record(folder)
        foreign = [name for name, data in files.items() if not _may_replace(folder / name, data, record.get(name))]
        if foreign and not force:
            raise ExportError(
                f"{folder}: got {', '.join(foreign)}, not written by an export or changed since, need none "
                "of these. Nothing was written; name another folder, or overwrite with --force."
            )
        for name, data in files.items():
            _write_whole(folder / name, data)
            record[name] = _digest(data)
        text = json.dumps(record, indent=1, sort_keys=True) + "\n"
        _write_whole(folder / RECORD, text.encode())
    except OSError as error:
        raise ExportError(
            f"{folder}: got {error.strerror or error}, need a folder that can be written. Choose another --out."
        ) from error


def _may_replace(path: Path, data: bytes, recorded: str | None) -> bool:
    if not path.exists():
        return True
    present = path.read_bytes()
    return present == data or _digest(present) == recorded


def _read_record(folder: Path) -> dict[str, str]:
    """What was exported into `folder` before; nothing where the record is missing or damaged."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return dict(record) if isinstance(record, dict) else {}


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_atomically(path, lambda part: _fill(part, data))


def _fill(part: Path, data: bytes) -> None:
    part.write_bytes(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
