"""An hour of frames through the link, a hundredth of all bytes wrong, both ways -> benchmarks/link.csv.

    .venv/bin/python benchmarks/link.py            # 36 000 frames with their pictures, twice: some minutes

The board's side and the PC's are the ones that run; time is not: the next frame follows when the last one has passed.
Bytes are hit one by one, or in packets of full-speed USB, 64 bytes: where single bytes are hit, no picture of 14 000
bytes comes through whole, and a line of 700 hardly ever.

lines_*      what the board said: status lines and lines of pictures and inks; those that passed undamaged; delivered
             (more than undamaged where only a line's end was hit); damaged ones that were accepted, undamaged ones lost
pictures_*   the same for whole pictures
requests_*   what the PC asked for, and what the board did
memory_*     of both sides and this file together, traced: after a tenth of the time, and at its end
"""

from __future__ import annotations

import csv
import gc
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np

from picodigits import modelfile
from picodigits.board.connection import LEASE, Receiver
from picodigits.board.stand_in import Noise
from picodigits_board import link
from picodigits_board.settings import SETTINGS

OUT = Path(__file__).with_suffix(".csv")
FRAMES = 36_000  # an hour at ten a second
SHARE = 0.01
BURSTS = (1, 64)


class Console:
    """The board's console; what it says passes a bad wire, and so does what it is asked."""

    connected = True
    out_waiting = 0
    write_timeout = 0.0

    def __init__(self, noise: Noise) -> None:
        self._noise = noise
        self.asked = b""
        self.passed: list[tuple[bytes, bytes]] = []  # of one frame: each line as said, and as it arrived

    @property
    def in_waiting(self) -> int:
        """Bytes that the PC has sent and the board has not read."""
        return len(self.asked)

    def read(self, count: int) -> bytes:
        """The next of them."""
        data, self.asked = self.asked[:count], self.asked[count:]
        return data

    def write(self, data: bytes) -> int:
        """A line of the board's."""
        self.passed.append((data, self._noise(data)))
        return len(data)


class Counter(Receiver):
    """The PC's side, which also counts the lines that it takes for undamaged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        feed = self._lines.feed

        def listening(data: bytes) -> list[str]:
            self.texts = feed(data)
            return self.texts

        self._lines.feed = listening  # type: ignore[method-assign]


def run(frames: int, share: float, burst: int, seed: int) -> dict[str, int | float]:
    """So many frames with `share` of the bytes wrong, `burst` together. Counts by name, as the file's head says."""
    random = np.random.default_rng(seed)
    console = Console(Noise(corrupt=share, burst=burst, seed=seed))
    up = Noise(corrupt=share, burst=burst, seed=seed + 1)
    usb = link.Link(console, dict(SETTINGS), lambda: None)
    usb.introduce(modelfile.find("fast"))
    receiver = Counter()
    pictures = random.integers(0, 65536, (16, 60, 80), np.uint16)
    raws = [picture.view(np.uint8).reshape(-1) for picture in pictures]
    ink = random.integers(0, 256, 256, np.uint8)
    count = dict.fromkeys(
        ("lines_said", "lines_undamaged", "lines_delivered", "damaged_accepted", "undamaged_lost", "frames",
         "readings_undamaged", "readings_delivered", "pictures_said", "pictures_undamaged", "pictures_delivered",
         "requests_said", "requests_undamaged", "bytes_said"), 0,
    )  # fmt: skip
    request = link.sealed(link.ASKS, f"stream={LEASE} want=pixels,ink,scores every=1")
    hello = link.sealed(link.ASKS, "hello=1")
    memory: list[int] = []
    for number in range(frames):
        if number % (LEASE // 4) == 0:
            asked = request if receiver.info else hello + request
            arrived = up(asked)
            count["requests_said"] += 1
            count["requests_undamaged"] += arrived == asked
            console.asked += arrived
        usb.listen(number)
        picture = number % len(raws)
        wanted = usb.wants("pixels")
        usb.send("pixels", number, raws[picture])
        usb.send("ink", number, ink)
        text = (
            link.frame_text(number, "7", 97, "found", (8, 20, 52, 49), [0.27, 34.5, 34.2, 11.2, 94.7]) + " free=75440"
        )
        usb.say(text + (link.scores_text(list(range(-5000, 6000, 1000))) if usb.wants("scores") else ""))

        said = [line[: -len(" crc=01234567\r\n")].split(link.SAYS.encode())[-1].decode() for line, _ in console.passed]
        intact = [line == there for line, there in console.passed]
        heard: list[str] = []
        for _, there in console.passed:
            for reading in receiver.feed(there):
                count["readings_delivered"] += 1
                if reading.frame is not None:
                    count["pictures_delivered"] += 1
                    wrong = reading.number != number or not np.array_equal(reading.frame, pictures[picture])
                    count["damaged_accepted"] += wrong
            heard += receiver.texts
        undamaged = [text for text, whole in zip(said, intact, strict=True) if whole]
        count["bytes_said"] += sum(len(line) for line, _ in console.passed)
        count["frames"] += 1
        count["lines_said"] += len(said)
        count["lines_undamaged"] += len(undamaged)
        count["lines_delivered"] += len(heard)
        count["damaged_accepted"] += sum(text not in said for text in heard)
        count["undamaged_lost"] += sum(text not in heard for text in undamaged)
        count["readings_undamaged"] += intact[-1]
        if wanted:
            count["pictures_said"] += 1
            mine = [whole for text, whole in zip(said, intact, strict=True) if text.startswith("pixels=")]
            count["pictures_undamaged"] += all(mine) and intact[-1]
        console.passed.clear()
        if number in (frames // 10, frames - 1):
            gc.collect()
            memory.append(tracemalloc.get_traced_memory()[0])
    count["lines_told_as_damaged"] = receiver.damaged
    count["memory_early_bytes"], count["memory_late_bytes"] = memory
    return {"share": share, "burst_bytes": burst, **count}


def main() -> None:
    """Measure both, and write the file."""
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES
    rows = []
    for burst in BURSTS:
        began = time.perf_counter()
        tracemalloc.start()
        rows.append(run(frames, SHARE, burst, seed=burst))
        tracemalloc.stop()
        print(f"{burst} bytes at a time: {time.perf_counter() - began:.0f} s: {rows[-1]}", flush=True)
    if frames == FRAMES:
        with OUT.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
