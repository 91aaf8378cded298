"""Thousands of frames on the virtual bench: does the heap grow, does an error come up, does a loop get slower?
-> long_run.csv

    nice python benchmarks/long_run.py              # 2 000 frames: an hour or two of one core
    python benchmarks/long_run.py --frames 500      # fewer
    python benchmarks/long_run.py --check           # the verdict over what stands in the CSV

Every few frames the camera sees something else: digits at all levels of care, and no digit at all, so that every hint
and every figure on the screen comes up again and again. A row is written every 50 frames, with the slowest loop, the
lowest heap and the errors among them; one that is interrupted keeps its rows. The clock is virtual and pictures are
fixed, so a second run from power-on says nothing new: frames count in one go. Needs the extra `bench` and the firmware.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from picodigits import camera, datasets, modelfile
from picodigits.bench import firmware as firmware_files
from picodigits.bench.board import Board
from picodigits.bench.ov7670 import OV7670
from picodigits.bench.run import parse_line
from picodigits.bench.st7735r import ST7735R
from picodigits.errors import BenchError
from picodigits.export import circuitpy_files

OUT = Path(__file__).with_name("long_run.csv")
ROW_FRAMES = 50
EACH = 4  # frames of a picture
HEAP_BYTES = 512  # as much may lie between the highest and the lowest heap that was free
DRIFT_MS = 1.0  # as much may the mean loop of the last rows be above that of the first
FIELDS = (
    "model",
    "firmware",
    "frames",
    "virtual_s",
    "loop_ms",
    "slowest_ms",
    "heap_free",
    "read",
    "errors",
)


def pictures(seed: int = 11) -> NDArray[np.uint16]:
    """(48, 60, 80) uint16 RGB565_SWAPPED: digits at three levels of care, and what is no digit, in mixed order."""
    digits = datasets.load("digits", "test").first_of_each(1).images
    shown = [camera.photograph(digits, care, seed=seed) for care in ("studio", "desk", "hard")]
    shown.append(np.stack([_paper(seed + k) for k in range(18)]))
    mixed = np.concatenate(shown)
    return mixed[np.random.default_rng(seed).permutation(len(mixed))]


def _paper(seed: int) -> NDArray[np.uint16]:
    """Paper without a digit: empty, dark, or with specks."""
    random = np.random.default_rng(seed)
    grey = np.full((60, 80), (220, 20, 200)[seed % 3], np.uint16)
    if seed % 3 == 2:
        for y, x in zip(random.integers(0, 58, 5), random.integers(0, 78, 5), strict=True):
            grey[y : y + 2, x : x + 2] = 30
    return ((grey >> 3) << 11 | (grey >> 2) << 5 | grey >> 3).astype(np.uint16).byteswap()


def main() -> None:
    """Run, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--check", action="store_true", help="run nothing")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if not options.check:
        run(options.model, options.frames, options.out)
    rows = load(options.out) if options.out.exists() else []
    if not rows:
        sys.exit(f"{options.out}: got no rows, need some to judge. Leave --check out to run.")
    faults = judged(rows)
    print("\n".join(faults) or f"no growth, no error, no drift in {rows[-1]['frames']} frames")
    sys.exit(bool(faults))


def load(path: Path) -> list[dict[str, str]]:
    """The rows of a long_run.csv."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run(name: str, frames: int, out: Path) -> None:
    """Let the emulated board read so many frames from power-on; a row goes to `out` every ROW_FRAMES."""
    firmware = firmware_files.find()
    shown = pictures()
    sensor = OV7670(lambda: shown[0])
    sensor.source = lambda: shown[sensor.frames_sent // EACH % len(shown)]
    board = Board(firmware.path, circuitpy_files(modelfile.find(name).data), camera=sensor, lcd=ST7735R())
    seen: list[dict[str, str]] = []
    errors: list[str] = []
    waiting = bytearray()

    def take(data: bytes) -> None:
        waiting.extend(data)
        while b"\n" in waiting:
            line, _, rest = bytes(waiting).partition(b"\n")
            waiting[:] = rest
            values = parse_line(line.decode("utf-8", "replace")) or {}
            if "error" in values or b"Traceback" in line:
                errors.append(values.get("error", line.decode("utf-8", "replace").strip()))
            elif "loop_ms" in values:
                seen.append(values)

    board.on_serial(take)
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        file.flush()
        with Progress(*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn(),
                      TimeRemainingColumn()) as bar:  # fmt: skip
            task = bar.add_task("frames", total=frames)
            board.boot(quick=True)
            for done in range(ROW_FRAMES, frames + ROW_FRAMES, ROW_FRAMES):
                wanted = min(done, frames)
                if not board.run_until(lambda wanted=wanted: len(seen) > wanted, limit_ms=60_000, every_ms=20):
                    said = bytes(board.serial[-400:]).decode("utf-8", "replace")
                    raise BenchError(f"long run: got {len(seen)} frames in 60 s, need {wanted}. It said: {said}")
                part = seen[done - ROW_FRAMES + 1 : wanted + 1]  # frame 0 includes the start
                loops = [float(values["loop_ms"]) for values in part]
                writer.writerow({
                    "model": name, "firmware": firmware.version, "frames": wanted,
                    "virtual_s": f"{board.ms / 1000:.1f}", "loop_ms": f"{fmean(loops[1:]):.2f}",
                    "slowest_ms": f"{max(loops[1:]):.2f}", "heap_free": min(int(values["free"]) for values in part),
                    "read": sum(values["read"] != "none" for values in part), "errors": len(errors),
                })  # fmt: skip
                file.flush()
                bar.update(task, completed=wanted)


def judged(rows: list[dict[str, str]]) -> list[str]:
    """What is wrong with a long run; empty where nothing is."""
    faults = []
    if any(int(row["errors"]) for row in rows):
        faults.append(f"{rows[-1]['errors']} errors")
    heaps = [int(row["heap_free"]) for row in rows[1:]]
    if heaps and heaps[0] - min(heaps) > HEAP_BYTES:
        faults.append(f"{heaps[0] - min(heaps)} bytes of heap were lost on the way")
    cycle = -(-48 * EACH // ROW_FRAMES)  # rows in which every picture is shown
    loops = [float(row["loop_ms"]) for row in rows]
    if len(loops) >= 2 * cycle and fmean(loops[-cycle:]) - fmean(loops[:cycle]) > DRIFT_MS:
        faults.append(f"loop {fmean(loops[:cycle]):.1f} ms at first, {fmean(loops[-cycle:]):.1f} at last")
    return faults


if __name__ == "__main__":
    main()
