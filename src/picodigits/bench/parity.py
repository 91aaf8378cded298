"""A program on the emulated board, fed with frames past the camera; its results back. For proving board == PC.

    program = '''
    from ulab import numpy as np
    def process(frame, result):      # frame: (9600,) bytearray, result: (256,) bytearray to fill
        ...
    '''
    answer = run_on_board(program, files, frames, result_bytes=256)
    answer.results                   # (n, 256) uint8, one row per frame
    answer.ms                        # (n,) float64, virtual ms that process() took

A frame through the camera, the USB or the drive would cost more than the program under test. So frames go in and
results come out through the emulated RAM itself: the program announces three buffers by a pattern in them, the host
finds them there, writes the frame, sets a flag, and lets the board run until the flag comes back. The firmware, its
interpreter, ulab and the program run unchanged; only the camera is left out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picodigits.bench import firmware as firmware_files
from picodigits.bench.board import Board
from picodigits.errors import BenchError

_MARK_BYTES = 24
_SEEDS = {"frame": 41, "result": 83, "flag": 127}
_READY, _WORK, _FAILED = 1, 2, 4

_BEFORE = """\
import time
time.sleep(0.1)
"""
_AFTER = """

def _serve(frame_bytes, result_bytes):
    import gc, traceback
    frame, result, flag = bytearray(frame_bytes), bytearray(result_bytes), bytearray({mark})
    for buffer, seed in ((frame, {frame}), (result, {result}), (flag, {flag})):
        for i in range({mark}):
            buffer[i] = (i * seed + seed * i * i) & 255
    gc.collect()
    print("parity: ready", gc.mem_free())
    flag[0] = {ready}
    while True:
        while flag[0] == {ready}:
            pass
        try:
            process(frame, result)
        except Exception as error:
            traceback.print_exception(error)
            print("parity: failed")
            flag[0] = {failed}
            return
        flag[0] = {ready}

_serve({frame_bytes}, {result_bytes})
"""


@dataclass(frozen=True)
class Answer:
    """What the program made of the frames."""

    results: NDArray[np.uint8]  # (n_frames, result_bytes)
    ms: NDArray[np.float64]  # (n_frames,) virtual ms per frame, to 0.05 ms
    free_bytes: int  # heap free before the first frame, buffers of this harness taken


class FedBoard:
    """A booted board whose program waits for frames. `feed` may be called again and again, and on forked boards.

    program: Python source that defines `process(frame, result)`; it may import what lies in `files`
    files: path on CIRCUITPY -> content; code.py is replaced
    frame_bytes, result_bytes: sizes of the two buffers, at least 24
    Raises FirmwareError without firmware, BenchError where the program does not start (with its traceback).
    """

    def __init__(
        self,
        program: str,
        files: Mapping[str, bytes],
        *,
        result_bytes: int,
        frame_bytes: int = 9600,
        firmware: firmware_files.Firmware | None = None,
        limit_ms: float = 60_000,
    ) -> None:
        if min(frame_bytes, result_bytes) < _MARK_BYTES:
            raise BenchError(
                f"parity: got buffers of {frame_bytes} and {result_bytes} bytes, need {_MARK_BYTES} or more"
            )
        self.frame_bytes = frame_bytes
        self.result_bytes = result_bytes
        after = _AFTER.format(
            mark=_MARK_BYTES,
            ready=_READY,
            failed=_FAILED,
            frame_bytes=frame_bytes,
            result_bytes=result_bytes,
            **_SEEDS,
        )
        source = {**files, "code.py": (_BEFORE + program + after).encode()}
        self.board = Board((firmware or firmware_files.find()).path, source)
        self.board.boot(quick=True)
        self.board.run_until(self._started_or_ended, limit_ms=limit_ms, every_ms=5)
        if b"parity: ready" not in self.board.serial:
            raise BenchError(f"parity: got no start of the program, need it. The board said: {self._said()}")
        self.board.run(5)  # the rest of the line
        self.free_bytes = int(bytes(self.board.serial).split(b"parity: ready ")[1].split()[0])
        self._address = {name: self._find(name, seed) for name, seed in _SEEDS.items()}

    def feed(self, frames: NDArray[np.uint8] | NDArray[np.uint16], *, limit_ms: float = 5_000) -> Answer:
        """Let the program process these frames, one after the other.

        frames: (n, frame_bytes) uint8, or (n, height, width) uint16 RGB565_SWAPPED
        limit_ms: virtual ms allowed for one frame
        Raises BenchError for frames of another size, and where the program fails (with its traceback) or hangs.
        """
        rows = np.ascontiguousarray(frames).reshape(len(frames), -1).view(np.uint8)
        if rows.shape[1:] != (self.frame_bytes,):
            raise BenchError(f"parity: got frames of {rows.shape[-1]} bytes, need {self.frame_bytes}")
        memory = self.board.memory
        flag, frame_at, result_at = (self._address[name] for name in ("flag", "frame", "result"))
        results = np.empty((len(rows), self.result_bytes), np.uint8)
        spent = np.empty(len(rows))
        for number, row in enumerate(rows):
            memory[frame_at : frame_at + self.frame_bytes] = row.tobytes()
            memory[flag] = _WORK
            begun = self.board.ms
            self.board.run_until(lambda: memory[flag] != _WORK or self._ended(), limit_ms=limit_ms, every_ms=0.05)
            spent[number] = self.board.ms - begun
            if memory[flag] != _READY:
                if memory[flag] == _FAILED:
                    self.board.run(50)  # the traceback is on its way
                raise BenchError(
                    f"parity: got no result for frame {number} within {limit_ms:.0f} virtual ms, need one. "
                    f"The board said: {self._said()}"
                )
            results[number] = np.frombuffer(memory[result_at : result_at + self.result_bytes], np.uint8)
        return Answer(results, spent, self.free_bytes)

    def _started_or_ended(self) -> bool:
        return b"parity: ready" in self.board.serial or self._ended()

    def _ended(self) -> bool:
        return b"Code done running." in self.board.serial[-400:]

    def _said(self) -> str:
        return bytes(self.board.serial[-800:]).decode("utf-8", "replace").replace("\r\n", "\n").strip() or "nothing"

    def _find(self, name: str, seed: int) -> int:
        mark = bytes((i * seed + seed * i * i) & 255 for i in range(_MARK_BYTES))
        if name == "flag":
            mark = bytes([_READY]) + mark[1:]
        memory = bytes(self.board.memory)
        at = memory.find(mark)
        if at < 0 or memory.find(mark, at + 1) >= 0:
            raise BenchError(f"parity: got {memory.count(mark)} buffers that look like {name!r} in RAM, need 1")
        return at


def run_on_board(
    program: str,
    files: Mapping[str, bytes],
    frames: NDArray[np.uint8] | NDArray[np.uint16],
    *,
    result_bytes: int,
    firmware: firmware_files.Firmware | None = None,
    jobs: int = 1,
) -> Answer:
    """Boot, run `program` over all frames, return what it made of them. See `FedBoard` for the arguments.

    jobs: processes that share the frames after one boot (Linux, macOS); the results are the same for any number
        as long as `process` keeps nothing from one frame to the next
    """
    frame_bytes = int(np.prod(frames.shape[1:])) * frames.dtype.itemsize
    fed = FedBoard(program, files, result_bytes=result_bytes, frame_bytes=frame_bytes, firmware=firmware)
    jobs = min(jobs, len(frames), os.cpu_count() or 1)
    if jobs <= 1:
        return fed.feed(frames)
    shares = np.array_split(frames, jobs)
    waits = [fed.board.fork(lambda _board, share=share: fed.feed(share)) for share in shares]  # type: ignore[misc]
    answers = [wait() for wait in waits]
    return Answer(
        np.concatenate([answer.results for answer in answers]),
        np.concatenate([answer.ms for answer in answers]),
        fed.free_bytes,
    )
