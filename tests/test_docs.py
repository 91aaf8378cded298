"""What the documents say is what the project does."""

from __future__ import annotations

import csv
import importlib.util
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from picodigits import modelfile
from picodigits_board import pins

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_readme_has_fewer_than_150_lines() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 150


def test_the_web_pages_are_made_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="needs the extra 'docs'")
    line = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", tmp_path / "out"]
    made = subprocess.run([*line, "-d", tmp_path / "trees"], capture_output=True, text=True, check=False, timeout=300)
    assert made.returncode == 0, made.stderr
    assert "Troubleshooting" in (tmp_path / "out" / "guide" / "troubleshooting.html").read_text("utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target


def test_the_accuracy_table_is_that_of_the_benchmark_and_of_the_models_that_ship() -> None:
    with (ROOT / "benchmarks" / "accuracy.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in modelfile.pretrained():
        crc = f"{struct.unpack('<I', modelfile.find(name).data[-4:])[0]:08x}"
        mine = {(row["source"], row["level"]): row for row in rows if row["model"] == name}
        assert {row["crc32"] for row in mine.values()} == {crc}, f"{name}: measure again with benchmarks/accuracy.py"
        seen = [("mnist", "clean")] + [
            (data, care) for data in ("mnist", "digits") for care in ("studio", "desk", "hard")
        ]
        figures = [mine[pair]["right_percent"] for pair in seen]
        line = f"| `{name}` | {' | '.join(figures)} |"
        assert line in readme, line


def test_the_cards_of_the_models_are_those_of_the_files_and_of_the_benchmark() -> None:
    spec = importlib.util.spec_from_file_location("cards", ROOT / "benchmarks" / "cards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.cards() == (ROOT / "docs" / "models.md").read_text("utf-8"), "run benchmarks/cards.py"


def test_what_further_looks_are_worth_is_told_as_it_was_measured() -> None:
    with (ROOT / "benchmarks" / "accuracy.csv").open(encoding="utf-8") as file:
        rows = {(row["model"], row["source"], row["level"]): row for row in csv.DictReader(file)}
    text = " ".join((ROOT / "docs" / "how-it-works.md").read_text("utf-8").split())
    seen = [("mnist", "clean"), ("mnist", "desk"), ("mnist", "hard"), ("digits", "desk"), ("digits", "hard")]
    for name in ("tiny", "fast", "best"):
        figures = [rows[name, *pair] for pair in seen]
        told = " | ".join(f"{row['first_look_percent']} → {row['right_percent']}" for row in figures)
        assert f"| `{name}` | {told} |" in text, told
    board = [rows[name, "mnist", "hard"]["board_percent"] for name in ("tiny", "fast", "best")]
    assert "`tiny` reads {} % there, `fast` {}, `best` {}.".format(*board) in text, board
    again = [float(rows[name, "mnist", "desk"]["again_percent"]) for name in ("best", "fast", "tiny")]
    said = "`best` looks at {:.1f} frames in a hundred again, `fast` at {:.1f}, `tiny` at {:.1f}.".format(*again)
    assert said in text, said


def test_the_ablation_table_is_that_of_the_benchmark() -> None:
    with (ROOT / "benchmarks" / "ablation.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "mnist"]
    text = (ROOT / "docs" / "how-it-works.md").read_text("utf-8").replace("`find-4`", "find-4")
    for variant in dict.fromkeys(row["variant"] for row in rows):
        figures = {row["level"]: row["right_percent"] for row in rows if row["variant"] == variant}
        assert f"| {variant} | {figures['studio']} | {figures['desk']} | {figures['hard']} |" in text, variant


def test_the_bench_table_is_that_of_the_benchmark() -> None:
    with (ROOT / "benchmarks" / "bench.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    readme = (ROOT / "README.md").read_text("utf-8")
    for row in rows:
        first = f"{float(row['first_prediction_ms']) / 1000:.1f} s"
        times = " | ".join(f"{row[key]} ms" for key in ("ink_ms", "network_ms", "screen_ms", "loop_ms"))
        assert f"| {row['bytes']} bytes | {first} | {times} |" in readme, row["program"]


def test_the_wiring_table_is_that_of_the_program() -> None:
    text = (ROOT / "docs" / "board.md").read_text("utf-8")
    for label, pin in (
        ("PCLK", pins.CAMERA_PCLK), ("XCLK (MCLK)", pins.CAMERA_MCLK), ("HREF", pins.CAMERA_HREF),
        ("VSYNC", pins.CAMERA_VSYNC), ("RESET", pins.CAMERA_RESET), ("PWDN", pins.CAMERA_SHUTDOWN),
        ("SCK", pins.SCREEN_SCK), ("SDA (MOSI)", pins.SCREEN_MOSI), ("A0 (DC)", pins.SCREEN_DC),
        ("RESET", pins.SCREEN_RESET), ("CS", pins.SCREEN_CS),
    ):  # fmt: skip
        assert f"| {label} | {pin} |" in text, label
    assert "| D0 to D7 | GP0 to GP7 |" in text
    assert tuple(f"GP{i}" for i in range(8)) == pins.CAMERA_DATA
    assert f"| SIOD (SDA) | {pins.CAMERA_SDA} and" in text
    assert f"| SIOC (SCL) | {pins.CAMERA_SCL} and" in text


def test_the_settings_in_the_documents_are_those_of_the_program() -> None:
    code = (ROOT / "src" / "picodigits_board" / "settings.py").read_text("utf-8")
    known = set(re.findall(r'^    "([A-Z_]+)": ', code, re.MULTILINE))
    text = (ROOT / "docs" / "board.md").read_text("utf-8")
    assert {name.removeprefix("PICODIGITS_") for name in re.findall(r"PICODIGITS_[A-Z_]+", text)} == known


def test_the_boards_program_has_fewer_than_100_lines() -> None:
    assert len((ROOT / "src" / "picodigits_board" / "code.py").read_text("utf-8").splitlines()) < 100
