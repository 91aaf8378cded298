"""The cards of the models that ship -> docs/models.md, from the model files, their recipes and accuracy.csv.

    python benchmarks/cards.py

Takes a second. Run it after accuracy.py; tests/test_docs.py checks that the cards are those of the files.
"""

from __future__ import annotations

import argparse
import csv
import struct
from pathlib import Path

from picodigits import modelfile
from picodigits.training.recipes import RECIPES, Recipe
from picodigits_board.modelfile import Model

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "models.md"
HEAD = """# The models that ship

Accuracy is on test images only, photographed by the simulation at four levels of care (`picodigits data show mnist
--camera hard` shows them), with declining switched off; *declined* is with it on. Made by `benchmarks/accuracy.py`.
Milliseconds are an estimate for the Pico under CircuitPython; [the bench](bench.md) measures.
"""
SAYS = {
    "article": "What the article trained: LinearSVC at 12x12, no camera simulation, a fixed crop. The baseline.",
    "tiny": "Under 2 KB of weights.",
    "fast": "The default on the board: what fits into about 35 ms under CircuitPython.",
    "best": "The default on the PC: the most accurate one.",
}
LICENCES = {
    "mnist": "MNIST (Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0)",
    "digits": "scikit-learn's digits (UCI, Optical Recognition of Handwritten Digits; CC BY 4.0)",
    "strokes": "synthetic writers (ours, MIT)",
}
SOURCES = {"mnist": "MNIST", "digits": "digits", "strokes": "strokes"}
LEVELS = ("clean", "studio", "desk", "hard")


def main() -> None:
    """Write the cards."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    OUT.write_text(cards(), encoding="utf-8")
    print(OUT)


def cards() -> str:
    """The text of docs/models.md."""
    with (ROOT / "benchmarks" / "accuracy.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = sorted(modelfile.pretrained(), key=list(SAYS).index)
    return HEAD + "".join(_card(name, [row for row in rows if row["model"] == name]) for name in names)


def _card(name: str, rows: list[dict[str, str]]) -> str:
    model, recipe = modelfile.find(name), RECIPES[name]
    (crc,) = struct.unpack("<I", model.data[-4:])
    lines = [
        f"\n## `{name}`\n",
        SAYS[name],
        "",
        f"- network: {modelfile.chain(model)}; ink {model.ink_height}x{model.ink_width} behind `{model.preprocess_id}`",
        f"- {len(model.data)} bytes of file, about {modelfile.heap_bytes(model)} bytes of heap on the board, "
        f"{modelfile.macs(model)} multiply-accumulates, about {modelfile.network_ms(model):.0f} ms",
        f"- made by `picodigits train {name}`, {_training(recipe)}; CRC32 {crc:08x}",
        f"- handwriting: {'; '.join(LICENCES[data] for data in recipe.data)}",
        "",
        "| right, % | " + " | ".join(LEVELS) + " |",
        "|---" * (len(LEVELS) + 1) + "|",
    ]
    for source, label in SOURCES.items():
        figures = {row["level"]: row for row in rows if row["source"] == source}
        lines.append(f"| {label} | " + " | ".join(figures[level]["right_percent"] for level in LEVELS) + " |")
    return "\n".join([*lines, "", _declining(model, rows), ""])


def _training(recipe: Recipe) -> str:
    if recipe.kind != "network":
        return "scikit-learn"
    assert recipe.schedule is not None
    epochs = f"{recipe.schedule.epochs} epochs in floats and {recipe.schedule.integer_epochs} in integers"
    told = f"PyTorch, {epochs}"
    if recipe.teacher is not None:
        told += ", taught by " + (
            "a larger network" if recipe.teacher.count == 1 else f"{recipe.teacher.count} larger networks"
        )
    return told + ", on further looks too" * (recipe.looks > 1)


def _declining(model: Model, rows: list[dict[str, str]]) -> str:
    desk = [float(row["declined_percent"]) for row in rows if row["level"] == "desk" and row["source"] in SOURCES]
    none = [row for row in rows if row["kind"]]
    frames = sum(int(row["frames"]) for row in none)
    declined = sum(int(row["frames"]) * float(row["declined_percent"]) for row in none) / frames
    rejects = "learned to tell frames without a digit" if model.rejects else "never saw a frame without a digit"
    return (
        f"Below {model.min_confidence} % confidence it declines: {min(desk):.1f} to {max(desk):.1f} % of desk digits, "
        f"{declined:.1f} % of {frames} frames without a digit. It {rejects}."
    )


if __name__ == "__main__":
    main()
