"""The emulated Pico: real CircuitPython in an emulated RP2040, with the virtual camera and LCD on its pins.

    board = Board(firmware_path, {"code.py": b"print('hello')"})
    board.boot()
    board.run_until_text(b"hello", limit_ms=5000)

Everything is synchronous and, from the same files and firmware, the same to the nanosecond on every run: what the
host does happens at an instant of the emulated clock, never of the real one. Times in `_ms` are virtual milliseconds
since power-on unless they say otherwise.

**What the virtual clock covers** (rp2040py 0.3.6): instruction and bus cycles of one Cortex-M0+ at 125 MHz, PIO, DMA,
SPI byte times, timers. Not covered: misses of the flash cache, bus contention, the second core, the time that I2C
bytes take. A traced cache model put the silicon 1 % (tight native loops) to 10 % (Python loops) slower on warm code,
more on code that runs for the first time. Virtual milliseconds compare programs with each other; they are no
measurement of silicon.

**rp2040py 0.3.6 needs mending in six places**, all here:

- its PIO does not empty the FIFOs when SHIFTCTRL.FJOIN changes (RP2040 datasheet 3.5.4, the SDK's
  `pio_sm_clear_fifos`), which shifts every camera frame;
- its USB host answers a read with an empty packet every 10 us, where a real one stays silent: that keeps the program
  from its work, and the emulation from resting while the program sleeps;
- it simulates a 16 MHz PWM edge by edge, at 50 times the cost of everything else;
- a reset through the RESETS register does not reach I2C and SPI, so that CircuitPython finds the peripheral in use
  when it opens it a second time;
- a reset leaves a DMA channel busy that waited for the camera, and it then carries on with the screen's bytes;
- a zero-length I2C write, by which CircuitPython asks whether a device is there, is bit-banged on the pins and never
  gets to the I2C peripheral.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from picodigits.bench import drive
from picodigits.bench.ov7670 import OV7670
from picodigits.bench.st7735r import ST7735R
from picodigits.errors import BenchError
from picodigits_board import pins

try:
    from rp2040py.boards import BOARDS, resolve_firmware
    from rp2040py.device.bootrom import BOOTROM_B1
    from rp2040py.device.load_flash import load_uf2
    from rp2040py.execute_batch import execute_batch
    from rp2040py.gpio_pin import GPIOPinState
    from rp2040py.peripherals.reset import RESET_I2C0, RESET_I2C1, RESET_SPI0, RESET_SPI1
    from rp2040py.peripherals.state_machine import StateMachine
    from rp2040py.simulator import Simulator
    from rp2040py.usb.cdc import USBCDC
    from rp2040py.utils.logging import ConsoleLogger, LogLevel
except ImportError as error:
    raise BenchError(f"emulated Pico: got no {error.name}, need it. Run pip install 'picodigits[bench]'") from None

T = TypeVar("T")

_FUNCTION_PWM = 4
_FUNCTION_SIO = 5
_SHIFTCTRL = 0x08  # offset in a state machine's registers; bits 31 and 30 are FJOIN
_RESETS_RESET = 0x00
_PIO_RECEIVES = (*range(4, 8), *range(12, 16))  # DREQ numbers of both PIOs' RX FIFOs (RP2040 datasheet 2.5.3.1)
_HAD_PSM_RESTART = 1 << 20  # CHIP_RESET (RP2040 datasheet 2.12.8)
_EP0_IN_BUFFER_CONTROL = 0x80  # USB DPRAM (RP2040 datasheet 4.1.2.5)
_USB_AVAILABLE = 1 << 10
_CTRL_C, _CTRL_D = b"\x03", b"\x04"
_RAW_REPL = b"raw REPL; CTRL-B to exit\r\n>"


class Board:
    """One emulated Pico with its drive, camera and LCD.

    firmware: a CircuitPython UF2 for the Raspberry Pi Pico
    files: what CIRCUITPY holds at power-on, path -> content
    camera, lcd: None leaves the wires open
    """

    def __init__(
        self,
        firmware: Path,
        files: Mapping[str, bytes],
        *,
        camera: OV7670 | None = None,
        lcd: ST7735R | None = None,
    ) -> None:
        spec = resolve_firmware(BOARDS["pico"], "circuitpython", str(firmware))
        assert spec.layout is not None
        self._drive_start = spec.layout.fs_start
        self._simulator = Simulator()
        self._mcu: Any = self._simulator.rp2040
        self._mcu.load_bootrom(BOOTROM_B1)
        self._mcu.logger = ConsoleLogger(LogLevel.ERROR)
        load_uf2(firmware, self._mcu)
        image = drive.build(files)
        self._mcu.flash[self._drive_start : self._drive_start + len(image)] = image
        _mend_pio(self._mcu)
        _mend_resets(self._mcu)
        self._usb = USBCDC(self._mcu.usb_ctrl)
        self._usb.on_serial_data = self._on_serial
        self._usb.on_device_connected = self._on_usb_up
        self._usb_up = False
        self._mcu.watchdog.on_watchdog_trigger = self._on_watchdog
        answer_read = self._mcu.usb_ctrl.on_endpoint_read
        self._mcu.usb_ctrl.on_endpoint_read = self._on_endpoint_read
        forget = self._mcu.usb_ctrl.on_reset
        assert answer_read is not None
        assert forget is not None
        self._answer_read, self._forget = answer_read, forget
        self._mcu.usb_ctrl.on_reset = self._on_usb_reset
        self._send_packet = self._mcu.usb_ctrl.dpram_updated
        self._mcu.usb_ctrl.dpram_updated = self._on_packet  # type: ignore[method-assign]
        self._usb_is_read = True
        self._held_packets: list[tuple[int, int]] = []
        self._waiting_reads: list[tuple[int, int]] = []  # (endpoint, bytes) that the board waits to receive
        self._alarm = self._mcu.clock.create_alarm(self._halt)
        self._input = bytearray()
        self._input_alarm = self._mcu.clock.create_alarm(self._feed_input)
        self._stop_text: bytes | None = None
        self._listeners: list[Callable[[bytes], None]] = []
        self.serial = bytearray()  # everything that the board has said over USB
        self.camera = CameraWires(self._mcu, camera)
        self.lcd = LcdWires(self._mcu, lcd)

    # Running.

    @property
    def ms(self) -> float:
        """Virtual milliseconds since power-on."""
        return float(self._mcu.clock.nanos) / 1e6

    def boot(self, *, quick: bool = False, limit_ms: float = 10_000) -> None:
        """Power on and run until USB is up. code.py starts at about that time; what it prints in its first 50 ms
        is lost, as on a real board before the PC has opened the port.

        quick: start as after a rescue reset, where CircuitPython leaves out the second in which it waits for a
            press of the reset button. Everything else is the same, and half a minute of real time is saved.
        Raises BenchError where USB is not up in time.
        """
        self._mcu.enter_reset()
        self._mcu.sram[:] = bytes(len(self._mcu.sram))
        if quick:
            self._mcu.vreg_and_chip_reset.record_reset_cause(_HAD_PSM_RESTART)
        self._mcu.leave_reset()
        self._usb_up = False
        self._run(limit_ms, until=lambda: self._usb_up)
        if not self._usb_up:
            raise BenchError(
                f"emulated Pico: got no USB within {limit_ms:.0f} ms, need it after about 2200. "
                "Is the firmware made for the Raspberry Pi Pico?"
            )

    def run(self, ms: float) -> None:
        """Let this many virtual milliseconds pass."""
        self._run(ms, until=lambda: False)

    def run_until(self, condition: Callable[[], bool], *, limit_ms: float, every_ms: float = 1.0) -> bool:
        """Run until `condition()` is true, asked every `every_ms`; False after `limit_ms`."""
        end = self.ms + limit_ms
        while not condition():
            if self.ms >= end:
                return False
            self.run(min(every_ms, max(end - self.ms, 0.001)))
        return True

    def run_until_text(self, text: bytes, *, limit_ms: float, start: int | None = None) -> int:
        """Run until the board has said `text` over USB; returns the position in `serial` after it.

        start: look from this position of `serial` on; None for what is said from now on
        Raises BenchError after `limit_ms`, with the end of what was said.
        """
        start = len(self.serial) if start is None else start
        self._stop_text = text
        try:
            self._run(limit_ms, until=lambda: self.serial.find(text, start) >= 0)
        finally:
            self._stop_text = None
        at = self.serial.find(text, start)
        if at < 0:
            said = bytes(self.serial[start:][-400:]).decode("utf-8", "replace").strip()
            raise BenchError(
                f"emulated Pico: got no {text!r} within {limit_ms:.0f} virtual ms, need it. "
                f"It said: {said or 'nothing'}"
            )
        return at + len(text)

    def _run(self, limit_ms: float, until: Callable[[], bool]) -> None:
        self._simulator.stopped = False
        end = self.ms + limit_ms
        self._alarm.schedule(limit_ms * 1e6)
        while not until():
            if self._simulator.stopped:
                if self.ms >= end - 1e-6:
                    break
                self._simulator.stopped = False
            execute_batch(self._simulator, 1)
        self._alarm.cancel()

    def _on_usb_up(self) -> None:
        self._usb_up = True
        self._halt()

    def _halt(self) -> None:
        self._simulator.stopped = True

    def _on_watchdog(self) -> None:
        """The program asked for a reset: microcontroller.reset()."""
        for channel in self._mcu.dma.channels:
            channel.abort()
        self._mcu.enter_reset(from_watchdog=True)
        self._mcu.leave_reset()

    # USB serial.

    def _on_serial(self, data: bytes | bytearray) -> None:
        before = len(self.serial)
        self.serial += data
        for listener in self._listeners:
            listener(bytes(data))
        text = self._stop_text
        if text is not None and self.serial.find(text, max(before - len(text), 0)) >= 0:
            self._halt()

    @property
    def usb_is_read(self) -> bool:
        """Whether the PC takes what the board says; False: its port is open, but its program has stopped reading."""
        return self._usb_is_read

    @usb_is_read.setter
    def usb_is_read(self, read: bool) -> None:
        self._usb_is_read = read
        while read and self._held_packets:
            self._send_packet(*self._held_packets.pop(0))

    def _on_packet(self, offset: int, value: int) -> None:
        """The board has made a buffer of an endpoint ready."""
        serial = _EP0_IN_BUFFER_CONTROL + 8 * self._usb._in_endpoint
        if offset == serial and not self._usb_is_read and value & _USB_AVAILABLE:
            self._held_packets.append((offset, value))
        else:
            self._send_packet(offset, value)

    def on_serial(self, listener: Callable[[bytes], None]) -> None:
        """Call `listener` with each piece that the board says from now on."""
        self._listeners.append(listener)

    def write(self, data: bytes) -> None:
        """Send these bytes over USB serial; they arrive while the board runs on."""
        self._input += data
        self._feed_input()

    def _feed_input(self) -> None:
        fifo = self._usb.tx_fifo
        room = fifo.size - fifo.item_count
        for byte in self._input[:room]:
            self._usb.send_serial_byte(byte)
        del self._input[:room]
        while self._waiting_reads and not fifo.empty:
            self._answer_read(*self._waiting_reads.pop(0))
        if self._input:
            self._input_alarm.schedule(1_000_000)

    def _on_endpoint_read(self, endpoint: int, size: int) -> None:
        if endpoint and self._usb.tx_fifo.empty:
            self._waiting_reads.append((endpoint, size))
        else:
            self._answer_read(endpoint, size)

    def _on_usb_reset(self) -> None:
        self._waiting_reads.clear()
        self._held_packets.clear()
        self._forget()

    def execute(self, code: str, *, limit_ms: float = 60_000) -> str:
        """Run Python on the board by its raw REPL, after stopping what runs; returns what it printed.

        Raises BenchError with the board's traceback where the code fails.
        """
        self._enter_raw_repl()
        start = len(self.serial)
        self.write(code.encode() + _CTRL_D)
        begin = self.run_until_text(b"OK", limit_ms=limit_ms, start=start)
        end = self.run_until_text(_CTRL_D, limit_ms=limit_ms, start=begin)
        last = self.run_until_text(_CTRL_D, limit_ms=limit_ms, start=end)
        error = bytes(self.serial[end : last - 1]).decode("utf-8", "replace").strip()
        if error:
            raise BenchError(f"program on the emulated Pico: {error}")
        return bytes(self.serial[begin : end - 1]).decode("utf-8", "replace").replace("\r\n", "\n")

    def _enter_raw_repl(self) -> None:
        # CircuitPython throws away what came in with a Ctrl-C, so each byte is sent on its own.
        for _ in range(5):
            start = len(self.serial)
            self.write(_CTRL_C)
            self.run(60)
            self.write(b"\x01")
            self._stop_text = _RAW_REPL
            self._run(150, until=partial(self._said_since, start, _RAW_REPL))
            self._stop_text = None
            if self._said_since(start, _RAW_REPL):
                return
        said = bytes(self.serial[-200:]).decode("utf-8", "replace").strip()
        raise BenchError(f"emulated Pico: got no raw REPL, need one. It said: {said or 'nothing'}")

    def _said_since(self, start: int, text: bytes) -> bool:
        return self.serial.find(text, start) >= 0

    # Drive and memory.

    def files(self) -> dict[str, bytes]:
        """What CIRCUITPY holds now: path -> content."""
        return drive.read(self._mcu.flash[self._drive_start : self._drive_start + drive.VOLUME_BYTES])

    def replace_files(self, files: Mapping[str, bytes]) -> None:
        """Put other files on CIRCUITPY, as with the board unplugged; `boot` it afterwards.

        Raises BenchError for content that does not fit.
        """
        image = drive.build(files)
        self._mcu.flash[self._drive_start : self._drive_start + len(image)] = image

    @property
    def memory(self) -> bytearray:
        """The emulated 264 KiB of SRAM itself, (270336,) uint8: reads what the program holds, writes into it."""
        sram: bytearray = self._mcu.sram
        return sram

    # Scenarios.

    def fork(self, scenario: Callable[[Board], T]) -> Callable[[], T]:
        """Run `scenario(board)` in a copy of this board, in another process; this one stays as it is.

        The copy starts at this instant: boot once, then try many things. Returns at once, with a function that waits
        for the scenario and returns its result (which must be picklable) or raises its error.
        Raises BenchError where the operating system has no fork (Windows).
        """
        if not hasattr(os, "fork"):
            raise BenchError(
                f"bench: got {sys.platform}, need a system with fork (Linux, macOS) to copy a running board"
            )
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns where NumPy has threads; they are idle, and the copy starts none.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            os.close(reader)
            code = 1
            try:
                answer: tuple[bool, object]
                try:
                    answer = (True, scenario(self))
                except BaseException as error:
                    answer = (False, error)
                with os.fdopen(writer, "wb") as pipe:
                    pipe.write(_pickled(answer))
                code = 0
            finally:
                os._exit(code)
        os.close(writer)

        def wait() -> T:
            with os.fdopen(reader, "rb") as pipe:
                raw = pipe.read()
            os.waitpid(child, 0)
            if not raw:
                raise BenchError("bench: got nothing from the copy of the board, need its result. It was killed")
            succeeded, answer = pickle.loads(raw)
            if not succeeded:
                raise answer
            return cast(T, answer)

        return wait


def _pickled(answer: tuple[bool, object]) -> bytes:
    buffer = io.BytesIO()
    try:
        pickle.dump(answer, buffer)
    except Exception as error:
        return pickle.dumps((False, BenchError(f"bench: got a result that can't be sent back ({error})")))
    return buffer.getvalue()


class LcdWires:
    """The LCD on SPI1. `connected` False: the module is not there; the board can't notice, SPI has no answer."""

    def __init__(self, mcu: Any, lcd: ST7735R | None) -> None:
        self.device = lcd
        self.connected = True
        self._select = mcu.gpio[_gpio(pins.SCREEN_CS)]
        self._is_data = mcu.gpio[_gpio(pins.SCREEN_DC)]
        self._spi = mcu.spi[_gpio(pins.SCREEN_SCK) // 8 % 2]
        self._spi.on_transmit = self._transmit
        self._sent = mcu.clock.create_alarm(lambda: self._spi.complete_transmit(0))
        mcu.gpio[_gpio(pins.SCREEN_RESET)].add_listener(self._reset)
        self.clock_hz = 0.0  # of the last byte

    def _reset(self, level: GPIOPinState, _before: GPIOPinState) -> None:
        if level == GPIOPinState.LOW and self.device is not None and self.connected:
            self.device.reset()

    def _transmit(self, byte: int) -> None:
        lcd = self.device
        if lcd is not None and self.connected and self._select.value == GPIOPinState.LOW:
            if self._is_data.value == GPIOPinState.LOW:
                lcd.command(byte)
            else:
                lcd.data(byte.to_bytes(1))
        self.clock_hz = self._spi.clock_frequency
        self._sent.schedule(8e9 / self.clock_hz if self.clock_hz else 1000)


class CameraWires:
    """The camera on its sixteen wires, and what can be wrong with them.

    connected  False: the cable is out. Nothing answers, and nothing drives the Pico's pins: they float
    pull_ups   False: the two resistors on SDA and SCL are missing, and those two float
    stuck      data line 0..7 -> the level at which it is stuck
    swapped    two data lines 0..7 that are plugged in each in the other's place, or None
    broken     wires that lead nowhere: "VSYNC", "HREF", "PCLK", "MCLK", "D0" .. "D7". The Pico's pin floats

    A pin that floats reads what its own pull-up or pull-down makes of it.
    """

    def __init__(self, mcu: Any, camera: OV7670 | None) -> None:
        self.device = camera
        self._connected = camera is not None
        self._pull_ups = True
        self._stuck: dict[int, bool] = {}
        self._swapped: tuple[int, int] | None = None
        self._broken: frozenset[str] = frozenset()
        self._mcu = mcu
        self._gpio = mcu.gpio
        self._level = 0  # of the data lines
        self._solder()
        self._mclk = _Mclk(mcu, _gpio(pins.CAMERA_MCLK))
        mcu.gpio[_gpio(pins.CAMERA_RESET)].add_listener(self._control_pins)
        mcu.gpio[_gpio(pins.CAMERA_SHUTDOWN)].add_listener(self._control_pins)
        self._sccb = _Sccb(mcu, self)
        self._alarm = mcu.clock.create_alarm(self._tick)
        self._next: Callable[[], None] = self._frame
        self._alarm.schedule(1e6)

    @property
    def connected(self) -> bool:
        """Whether the cable is in. Putting it back in powers the sensor up anew, with every register at its default."""
        return self._connected

    @connected.setter
    def connected(self, there: bool) -> None:
        if there and not self._connected and self.device is not None:
            self.device.reset()
        self._connected = there and self.device is not None
        self._solder()
        self._control_pins(GPIOPinState.LOW, GPIOPinState.LOW)

    @property
    def pull_ups(self) -> bool:
        """Whether the two resistors on SDA and SCL are there."""
        return self._pull_ups

    @pull_ups.setter
    def pull_ups(self, there: bool) -> None:
        self._pull_ups = there
        self._sccb.set_lines(there)

    @property
    def stuck(self) -> dict[int, bool]:
        """Data line -> the level at which it is stuck."""
        return dict(self._stuck)

    @stuck.setter
    def stuck(self, lines: Mapping[int, bool]) -> None:
        self._stuck = dict(lines)
        self._solder()

    @property
    def swapped(self) -> tuple[int, int] | None:
        """Two data lines, each in the other's place."""
        return self._swapped

    @swapped.setter
    def swapped(self, lines: tuple[int, int] | None) -> None:
        self._swapped = lines
        self._solder()

    @property
    def broken(self) -> frozenset[str]:
        """The wires that lead nowhere."""
        return self._broken

    @broken.setter
    def broken(self, names: Iterable[str]) -> None:
        self._broken = frozenset(names)
        self._solder()

    def _solder(self) -> None:
        """Join each of the sensor's outputs to the pin that it leads to, and let the others float."""
        places = list(range(8))
        if self._swapped:
            first, second = self._swapped
            places[first], places[second] = second, first
        self._data = [self._joined(f"D{place}", pins.CAMERA_DATA[place]) for place in places]
        self._pclk = self._joined("PCLK", pins.CAMERA_PCLK)
        self._href = self._joined("HREF", pins.CAMERA_HREF)
        self._vsync = self._joined("VSYNC", pins.CAMERA_VSYNC)
        for line, level in self._stuck.items():
            self._level = self._level | 1 << line if level else self._level & ~(1 << line)
        for line, pin in enumerate(self._data):
            pin.set_input_value(bool(self._level >> line & 1))
        for pin in (self._pclk, self._href, self._vsync):
            pin.set_input_value(False)

    def _joined(self, name: str, pin: str) -> Any:
        end = self._gpio[_gpio(pin)]
        if self._connected and name not in self._broken:
            return end
        end.release_input()
        return _LooseEnd()

    def sensor(self) -> OV7670 | None:
        """The sensor, with its MCLK as it is now; None where it is not connected."""
        if self.device is None or not self._connected:
            return None
        self.device.mclk_hz = 0.0 if "MCLK" in self._broken else self._mclk.hz
        return self.device

    def _control_pins(self, _level: GPIOPinState, _before: GPIOPinState) -> None:
        sensor = self.sensor()
        if sensor is not None:
            sensor.set_reset(self._gpio[_gpio(pins.CAMERA_RESET)].value == GPIOPinState.LOW)
            sensor.set_power_down(self._gpio[_gpio(pins.CAMERA_SHUTDOWN)].value == GPIOPinState.HIGH)

    # Video. Each step moves the wires and names the next one.

    def _tick(self) -> None:
        self._next()

    def _after(self, ns: float, step: Callable[[], None]) -> None:
        self._next = step
        self._alarm.schedule(ns)

    def _frame(self) -> None:
        """VSYNC begins, where there is a camera that runs."""
        sensor = self.sensor()
        if sensor is None or not sensor.streaming:
            self._after(1e6, self._frame)
            return
        self._timing = sensor.timing()
        self._begun_ns = self._mcu.clock.nanos
        self._looked_at = self._someone_looks()
        self._vsync.set_input_value(self._timing.vsync_active)
        self._href.set_input_value(not self._timing.href_active)
        self._after(self._timing.vsync_ns, self._vsync_end)

    def _someone_looks(self) -> bool:
        """True where a capture runs: a DMA channel moves what a PIO program reads."""
        return any(channel.active and channel.treq in _PIO_RECEIVES for channel in self._mcu.dma.channels)

    def _vsync_end(self) -> None:
        if not self._timing.vsync_active:  # CircuitPython takes the frame that follows a rising VSYNC
            self._looked_at = self._someone_looks()
        self._vsync.set_input_value(not self._timing.vsync_active)
        self._after(self._timing.first_row_ns, self._first_row)

    def _first_row(self) -> None:
        sensor = self.sensor()
        # Where nobody looks, the pixels of this frame need not be moved one by one.
        if sensor is None or not sensor.streaming or not self._looked_at:
            self._frame_end()
            return
        self._rows = sensor.rows()
        self._row_number = 0
        if self._rows:
            self._row()
        else:
            self._frame_end()

    def _row(self) -> None:
        if self.sensor() is None or not self._someone_looks():
            self._frame_end()
            return
        self._bytes = self._rows[self._row_number]
        self._byte_number = 0
        self._row_begun_ns = self._mcu.clock.nanos
        self._href.set_input_value(self._timing.href_active)
        self._after(self._timing.pclk_ns / 2, self._byte)

    def _byte(self) -> None:
        """Data change while PCLK is at rest ..."""
        if self._byte_number == len(self._bytes):
            self._row_end()
            return
        byte = self._bytes[self._byte_number]
        for line, level in self._stuck.items():
            byte = byte | 1 << line if level else byte & ~(1 << line)
        changed = byte ^ self._level
        self._level = byte
        for line in range(8):
            if changed >> line & 1:
                self._data[line].set_input_value(bool(byte >> line & 1))
        self._pclk.set_input_value(self._timing.pclk_sampling)
        self._after(self._timing.pclk_ns / 2, self._byte_taken)

    def _byte_taken(self) -> None:
        """... and are taken at its other edge."""
        self._pclk.set_input_value(not self._timing.pclk_sampling)
        self._byte_number += 1
        self._after(self._timing.pclk_ns / 2, self._byte)

    def _row_end(self) -> None:
        self._href.set_input_value(not self._timing.href_active)
        self._row_number += 1
        if self._row_number == len(self._rows):
            self._frame_end()
        else:
            self._after(max(self._row_begun_ns + self._timing.row_ns - self._mcu.clock.nanos, 1000.0), self._row)

    def _frame_end(self) -> None:
        self._after(max(self._begun_ns + self._timing.frame_ns - self._mcu.clock.nanos, 1000.0), self._frame)


class _LooseEnd:
    """A wire that leads nowhere."""

    def set_input_value(self, value: bool) -> None:
        """Nobody notices."""


class _Mclk:
    """The PWM that clocks the camera: its frequency, without its edges."""

    def __init__(self, mcu: Any, gpio: int) -> None:
        self._mcu = mcu
        self._pin = mcu.gpio[gpio]
        self._is_b = bool(gpio & 1)
        self._channel = mcu.pwm.channels[gpio // 2 % 8]
        self._channel.update_enable = self._stay_off
        self._stay_off()

    def _stay_off(self) -> None:
        self._channel.timer.enable = False

    @property
    def hz(self) -> float:
        """Hz that leave the pin now; 0 where none do."""
        channel = self._channel
        level = channel.cc >> 16 if self._is_b else channel.cc & 0xFFFF
        if not channel.csr & 1 or self._pin.function_select != _FUNCTION_PWM or not 0 < level <= channel.top:
            return 0.0
        divider = (channel.div >> 4 & 0xFF or 256) + (channel.div & 0x0F) / 16
        return float(self._mcu.clk_sys / (divider * (channel.top + 1)))


class _Sccb:
    """SCCB on the I2C peripheral, and bit-banged on the same two pins for a zero-length write."""

    def __init__(self, mcu: Any, wires: CameraWires) -> None:
        self._wires = wires
        self._scl = mcu.gpio[_gpio(pins.CAMERA_SCL)]
        self._sda = mcu.gpio[_gpio(pins.CAMERA_SDA)]
        bus = self._bus = mcu.i2c[_gpio(pins.CAMERA_SDA) // 2 % 2]
        bus.on_start = lambda _repeated: bus.complete_start()
        bus.on_connect = self._connect
        bus.on_write_byte = self._write
        bus.on_read_byte = self._read
        bus.on_stop = bus.complete_stop
        self._scl.set_input_value(True)
        self._sda.set_input_value(True)
        self._was = (True, True)  # levels of SCL and SDA as the master drives them
        self._bits: list[bool] | None = None  # since the start condition; None outside of a transfer
        self._scl.add_listener(self._pins)
        self._sda.add_listener(self._pins)

    def _connect(self, address: int, _mode: int) -> None:
        sensor = self._wires.sensor()
        self._bus.complete_connect(sensor is not None and sensor.sccb_start(address))

    def _write(self, byte: int) -> None:
        sensor = self._wires.sensor()
        if sensor is not None:
            sensor.sccb_write(byte)
        self._bus.complete_write(sensor is not None)

    def _read(self, _acknowledge: bool) -> None:
        sensor = self._wires.sensor()
        self._bus.complete_read(0xFF if sensor is None else sensor.sccb_read())

    def set_lines(self, high: bool) -> None:
        """Both wires while nobody pulls them down: high by their pull-ups, or floating."""
        for wire in (self._scl, self._sda):
            if high:
                wire.set_input_value(True)
            else:
                wire.release_input()

    def _pins(self, _level: GPIOPinState, _before: GPIOPinState) -> None:
        """Follow the levels of both wires while the program drives them itself."""
        if self._scl.function_select != _FUNCTION_SIO or self._sda.function_select != _FUNCTION_SIO:
            self._was = (True, True)
            self._bits = None
            return
        now = (_released(self._scl), _released(self._sda))
        scl_was, sda_was = self._was
        if now == self._was:
            return
        self._was = now
        scl, sda = now
        if scl and scl_was:
            if sda_was and not sda:  # start
                self._bits = []
            elif sda and not sda_was:  # stop
                self._bits = None
                self._hold_sda(False)
        elif self._bits is not None and scl:
            self._bits.append(sda)
        elif self._bits is not None:  # SCL fell
            if len(self._bits) == 8:
                address = sum(bit << 7 - place for place, bit in enumerate(self._bits)) >> 1
                sensor = self._wires.sensor()
                self._hold_sda(sensor is not None and sensor.sccb_start(address))
            elif len(self._bits) >= 9:
                self._bits = []
                self._hold_sda(False)

    def _hold_sda(self, low: bool) -> None:
        if low or self._wires.pull_ups:
            self._sda.set_input_value(not low)
        else:
            self._sda.release_input()


def _released(pin: Any) -> bool:
    """True where the master lets the wire go (open drain)."""
    return not (pin.output_enable and not pin.output_value)


def _gpio(name: str) -> int:
    """Number of a pin by its name in the wiring table: GP9 -> 9."""
    return int(name.removeprefix("GP"))


class _MendedStateMachine(StateMachine):
    """A PIO state machine whose FIFOs are emptied when FJOIN changes, as in silicon."""

    def write_uint32(self, offset: int, value: int) -> None:
        if offset == _SHIFTCTRL and (self.read_uint32(offset) ^ value) & 0xC0000000:
            self.rx_fifo.reset()
            self.tx_fifo.reset()
            self.rp2040.dma.clear_dreq(self.pio.dreq_rx[self.index])
            self.rp2040.dma.set_dreq(self.pio.dreq_tx[self.index])
        super().write_uint32(offset, value)


def _mend_pio(mcu: Any) -> None:
    for pio in mcu.pio:
        for index in range(4):
            pio.machines[index] = _MendedStateMachine(mcu, pio, index)


def _mend_resets(mcu: Any) -> None:
    """Let the RESETS register reset the I2C and SPI peripherals, as in silicon (RP2040 datasheet 2.14)."""
    blocks = {RESET_I2C0: mcu.i2c[0], RESET_I2C1: mcu.i2c[1], RESET_SPI0: mcu.spi[0], RESET_SPI1: mcu.spi[1]}
    store = mcu.resets.write_uint32

    def write(offset: int, value: int) -> None:
        before = mcu.resets.read_uint32(_RESETS_RESET)
        store(offset, value)
        begun = mcu.resets.read_uint32(_RESETS_RESET) & ~before
        for bit, block in blocks.items():
            if begun & bit:
                block.reset()

    mcu.resets.write_uint32 = write
