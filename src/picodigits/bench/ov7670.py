"""A virtual OV7670: the camera sensor's registers, and the bytes that it puts on its eight data lines.

Knows nothing of the emulator, nor of pins: `board` moves its bits over wires. It is asked three things:

    camera = OV7670(lambda: picture)          # picture: (60, 80) uint16 RGB565_SWAPPED
    camera.sccb_write(0x12); ...              # what arrives on SCCB (I2C)
    camera.rows()                             # the next video frame, row by row, as bytes
    camera.timing()                           # when its VSYNC, HREF and PCLK move

Modelled, with pages of the OV7670/OV7171 datasheet 1.4 (OmniVision, 2006-08-21):

    SCCB at 42h/43h             a register pointer, then data; no answer without MCLK, in reset or in power-down (10)
    PWDN high, RESET low        power-down and reset; a reset puts every register back (5)
    COM7[7]                     the same reset by register (13)
    PID, VER, MIDH, MIDL        76h, 73h, 7Fh, A2h, read only (11, 15)
    COM7[2], COM7[0], COM15     RGB565 (high byte first) or YUV 4:2:2; COM3[6] swaps the bytes of RGB (12, 13, 19)
    TSLB[3], COM13[0]           order of Y, U and V (18)
    HSTART .. VREF              the window; DCWCTR, COM3, COM14: its scaling by 1, 2, 4, 8 (12, 14, 18, 24)
    XSC, YSC with COM3[3]       digital zoom of 1/2, for 40x30 (24)
    MVFP                        mirror and vertical flip (15)
    XSC[7], YSC[7]              test patterns: shifting 1, colour bars, bars fading to grey (24)
    COM10                       polarity of VSYNC, HREF, PCLK (14)
    CLKRC, COM14[2:0]           prescalers of the clock (13, 18)
    VSYNC, HREF, PCLK           510 lines of 784 pixels a frame: VSYNC for 3 lines, 17 lines, 480 with pixels (7)

Not modelled: everything that makes a picture out of light. The picture comes finished from the source, so exposure,
gain, white balance, gamma, colour matrix, edge, noise and lens settings are accepted and without effect; neither is
the settling time after a change, nor CIF, QVGA and QCIF by COM7[5:3], raw Bayer data, RGB555 and RGB444, night mode,
HSYNC, and the PLL. The time that SCCB takes is nil.

**Mounting.** Which way up the module is mounted, no register tells. `upright_mvfp` is the value of MVFP's two flip
bits with which the picture arrives upright: 00h by default; 10h for the article's module, whose program sets flip_y.
Other bits mirror the picture or put it upside down, as they would there.

**Time.** `speed` divides every time: 1 is the datasheet's, one frame in 44.8 ms at the 17.857 MHz that the Pico makes
of 16 MHz; a capture then takes 42 to 87 ms. The default of 4 saves emulation time and means that the time of a
capture on the bench is no prediction of hardware. PCLK is held at 8 MHz or less, which the gap between two rows of a
scaled-down picture leaves room for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picodigits.errors import BenchError
from picodigits.frames import decode, encode

ADDRESS = 0x21  # 7 bits; 42h to write, 43h to read

COM3 = 0x0C
PID = 0x0A
VER = 0x0B
COM2 = 0x09
CLKRC = 0x11
COM7 = 0x12
COM10 = 0x15
HSTART = 0x17
HSTOP = 0x18
VSTRT = 0x19
VSTOP = 0x1A
MIDH = 0x1C
MIDL = 0x1D
MVFP = 0x1E
VREF = 0x03
HREF = 0x32
TSLB = 0x3A
COM13 = 0x3D
COM14 = 0x3E
COM15 = 0x40
SCALING_XSC = 0x70
SCALING_YSC = 0x71
SCALING_DCWCTR = 0x72

MVFP_MIRROR = 0x20
MVFP_VFLIP = 0x10

# The datasheet's defaults of the registers that have an effect here; all others start at 0.
_DEFAULTS = {
    COM2: 0x01,
    PID: 0x76,
    VER: 0x73,
    CLKRC: 0x80,
    HSTART: 0x11,
    HSTOP: 0x61,
    VSTRT: 0x03,
    VSTOP: 0x7B,
    MIDH: 0x7F,
    MIDL: 0xA2,
    HREF: 0x80,
    TSLB: 0x0D,
    COM13: 0x88,
    COM14: 0x00,
    COM15: 0xC0,
    SCALING_XSC: 0x3A,
    SCALING_YSC: 0x35,
    SCALING_DCWCTR: 0x11,
}
_READ_ONLY = frozenset((PID, VER, MIDH, MIDL))

_LINES = 510  # a frame
_LINE_PIXELS = 784
_VSYNC_LINES = 3
_BACK_PORCH_LINES = 17
FASTEST_PCLK_NS = 125.0  # what the emulated PIO follows without a fault: 8 MHz, seen with 160x120

# The eight bars, white to black, as RGB565.
_BARS = np.array([0xFFFF, 0xFFE0, 0x07FF, 0x07E0, 0xF81F, 0xF800, 0x001F, 0x0000], np.uint16)

Source = Callable[[], NDArray[np.uint16]]
Lens = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@dataclass(frozen=True)
class Timing:
    """When the wires move in one video frame, in nanoseconds, and which way. Starts with VSYNC."""

    vsync_ns: float  # VSYNC active
    first_row_ns: float  # from the end of VSYNC to the first HREF
    row_ns: float  # from one HREF to the next
    pclk_ns: float  # one byte
    frame_ns: float  # from one VSYNC to the next
    vsync_active: bool  # level of VSYNC while it is active
    href_active: bool
    pclk_sampling: bool  # level that PCLK goes to when the byte is to be taken


class OV7670:
    """The sensor. `registers` is its 256 bytes; `source` may be exchanged at any time. `lens`, unless None, is what
    stands between the two: it gets the picture of the source as (height, width, 3) uint8 RGB, and returns the same.

    source: called once per video frame that is sent; returns (height, width) uint16 RGB565_SWAPPED, the scene as it
        arrives when the flips are as `upright_mvfp` says. A picture of another size than the registers ask for is
        sampled (nearest pixel).
    chip_id: PID and VER; another value plays a wrong chip
    address: 7 bits; another than 21h plays another kind of camera
    speed: divides every time, see above
    """

    def __init__(
        self,
        source: Source,
        *,
        upright_mvfp: int = 0,
        chip_id: tuple[int, int] = (0x76, 0x73),
        address: int = ADDRESS,
        speed: float = 4.0,
    ) -> None:
        self.source = source
        self.lens: Lens | None = None
        self.upright_mvfp = upright_mvfp
        self.chip_id = chip_id
        self.address = address
        self.speed = speed
        self.mclk_hz = 0.0
        self.powered_down = False
        self.held_in_reset = False
        self.frames_sent = 0
        self.reset()

    def reset(self) -> None:
        """Every register to its default."""
        self.registers = bytearray(256)
        for register, value in _DEFAULTS.items():
            self.registers[register] = value
        self.registers[PID], self.registers[VER] = self.chip_id
        self._pointer = 0
        self._pointer_is_next = True

    def set_reset(self, low: bool) -> None:
        """The RESET pin. While it is low the sensor is reset and silent."""
        self.held_in_reset = low
        if low:
            self.reset()

    def set_power_down(self, high: bool) -> None:
        """The PWDN pin. While it is high the sensor is silent; its registers keep their values."""
        self.powered_down = high

    @property
    def running(self) -> bool:
        """True where it answers on SCCB: powered, out of reset, and clocked (10 to 48 MHz, datasheet p. 6)."""
        return not self.powered_down and not self.held_in_reset and 10e6 <= self.mclk_hz <= 48e6

    @property
    def streaming(self) -> bool:
        """True where video frames leave it: running, and not in soft sleep (COM2[4])."""
        return self.running and not self.registers[COM2] & 0x10

    # SCCB: what arrives between start and stop.

    def sccb_start(self, address: int) -> bool:
        """A start condition and this 7-bit address. Returns whether the sensor acknowledges."""
        self._pointer_is_next = True
        return address == self.address and self.running

    def sccb_write(self, byte: int) -> None:
        """A byte from the master: the register's number, then its value."""
        if self._pointer_is_next:
            self._pointer = byte
            self._pointer_is_next = False
            return
        if self._pointer == COM7 and byte & 0x80:
            self.reset()
        elif self._pointer not in _READ_ONLY:
            self.registers[self._pointer] = byte
        self._pointer = (self._pointer + 1) & 0xFF

    def sccb_read(self) -> int:
        """The byte for the master: the value of the register that was last named."""
        return self.registers[self._pointer]

    # Video.

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames that the registers ask for, in pixels."""
        registers = self.registers
        start = registers[HSTART] << 3 | registers[HREF] & 0x07
        stop = registers[HSTOP] << 3 | registers[HREF] >> 3 & 0x07
        width = (stop - start) % _LINE_PIXELS
        top = registers[VSTRT] << 2 | registers[VREF] & 0x03
        bottom = registers[VSTOP] << 2 | registers[VREF] >> 2 & 0x03
        height = max(bottom - top, 0)
        down_x, down_y = self._scaling()
        return height // down_y, width // down_x

    def _scaling(self) -> tuple[int, int]:
        """By how much width and height are scaled down."""
        registers = self.registers
        down_x = down_y = 1
        if registers[COM3] & 0x04:
            down_x = 1 << (registers[SCALING_DCWCTR] & 0x03)
            down_y = 1 << (registers[SCALING_DCWCTR] >> 4 & 0x03)
        if registers[COM3] & 0x08:
            down_x *= 2 if registers[SCALING_XSC] & 0x7F >= 0x40 else 1
            down_y *= 2 if registers[SCALING_YSC] & 0x7F >= 0x40 else 1
        return down_x, down_y

    def timing(self) -> Timing:
        """When the wires move with the registers and the MCLK of now (datasheet p. 7).

        Raises BenchError where no MCLK runs.
        """
        if not self.mclk_hz:
            raise BenchError("OV7670: got no MCLK, need 10 to 48 MHz. Is the PWM on its pin running?")
        prescaler = (self.registers[CLKRC] & 0x3F) + 1
        byte_ns = 1e9 / (self.mclk_hz / prescaler) / self.speed
        line_ns = _LINE_PIXELS * 2 * byte_ns
        divider = 1 << (self.registers[COM14] & 0x07) if self.registers[COM14] & 0x10 else 1
        row_ns = self._scaling()[1] * line_ns
        slowest_ns = 0.9 * row_ns / max(self.size[1] * 2, 1)  # a row fits between two HREFs
        com10 = self.registers[COM10]
        return Timing(
            vsync_ns=_VSYNC_LINES * line_ns,
            first_row_ns=_BACK_PORCH_LINES * line_ns,
            row_ns=row_ns,
            pclk_ns=max(divider * byte_ns, min(FASTEST_PCLK_NS, slowest_ns)),
            frame_ns=_LINES * line_ns,
            vsync_active=not com10 & 0x02,
            href_active=not com10 & 0x08,
            pclk_sampling=not com10 & 0x10,
        )

    def rows(self) -> list[bytes]:
        """The next video frame: one bytes per row, two bytes per pixel, in the order in which they leave.

        Raises BenchError for an output format that is not modelled, and for a source that returns no picture.
        """
        height, width = self.size
        pattern = self.registers[SCALING_XSC] >> 7 | self.registers[SCALING_YSC] >> 6 & 0x02
        pixels = _test_pattern(pattern, height, width) if pattern else self._picture(height, width)
        self.frames_sent += 1
        com7 = self.registers[COM7]
        if com7 & 0x05 == 0x04 and self.registers[COM15] & 0x30 == 0x10:
            swap = bool(self.registers[COM3] & 0x40)
            data = np.ascontiguousarray(pixels, "<u2" if swap else ">u2").view(np.uint8)
        elif com7 & 0x05 == 0x00:
            order = self.registers[TSLB] >> 2 & 0x02 | self.registers[COM13] & 0x01
            data = _yuv(pixels, order)
        else:
            raise BenchError(
                f"OV7670: got COM7={com7:02X}h COM15={self.registers[COM15]:02X}h, need RGB565 or YUV. "
                "Other output formats are not modelled"
            )
        return [row.tobytes() for row in data.reshape(height, width * 2)]

    def _picture(self, height: int, width: int) -> NDArray[np.uint16]:
        """What the source shows, at this size and with the flips: RGB565 as plain numbers."""
        swapped: NDArray[Any] = np.asarray(self.source())
        if swapped.ndim != 2 or swapped.dtype != np.uint16 or not swapped.size:
            raise BenchError(
                f"camera source: got {swapped.dtype} {swapped.shape}, need (height, width) uint16 RGB565_SWAPPED"
            )
        if self.lens is not None:
            swapped = encode(self.lens(decode(swapped)))
        if swapped.shape != (height, width):
            row = np.arange(height) * swapped.shape[0] // max(height, 1)
            column = np.arange(width) * swapped.shape[1] // max(width, 1)
            swapped = swapped[row][:, column]
        flips = self.registers[MVFP] ^ self.upright_mvfp
        if flips & MVFP_MIRROR:
            swapped = swapped[:, ::-1]
        if flips & MVFP_VFLIP:
            swapped = swapped[::-1]
        return np.ascontiguousarray(swapped).byteswap()


def _test_pattern(pattern: int, height: int, width: int) -> NDArray[np.uint16]:
    """The sensor's own pictures: 1 shifting 1, 2 eight colour bars, 3 bars that fade to grey downwards."""
    column = np.arange(width)
    if pattern == 1:
        return np.broadcast_to((1 << (column % 16)).astype(np.uint16), (height, width))
    bars = _BARS[column * 8 // max(width, 1)]
    if pattern == 2:
        return np.broadcast_to(bars, (height, width))
    fade = 1 - np.arange(height)[:, np.newaxis] / max(height, 1)
    channels = [(bars >> 11 & 0x1F, 31), (bars >> 5 & 0x3F, 63), (bars & 0x1F, 31)]
    red, green, blue = (np.rint(top / 2 + (channel - top / 2) * fade).astype(int) for channel, top in channels)
    faded: NDArray[np.uint16] = (red << 11 | green << 5 | blue).astype(np.uint16)
    return faded


def _yuv(pixels: NDArray[np.uint16], order: int) -> NDArray[np.uint8]:
    """RGB565 -> 4:2:2, full range, two bytes a pixel; chroma is the mean of two neighbours (ITU-R BT.601).

    order: TSLB[3] * 2 + COM13[0]: 0 YUYV, 1 YVYU, 2 UYVY, 3 VYUY (datasheet p. 18)
    """
    red = (pixels >> 11 & 0x1F) * (255 / 31)
    green = (pixels >> 5 & 0x3F) * (255 / 63)
    blue = (pixels & 0x1F) * (255 / 31)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    height, width = pixels.shape
    pairs = (height, width // 2, 2)
    u = ((blue - luma) * 0.564 + 128).reshape(pairs).mean(axis=2)
    v = ((red - luma) * 0.713 + 128).reshape(pairs).mean(axis=2)
    y = luma.reshape(pairs)
    if order & 1:
        u, v = v, u
    parts = [u, y[:, :, 0], v, y[:, :, 1]] if order & 2 else [y[:, :, 0], u, y[:, :, 1], v]
    data: NDArray[np.uint8] = np.clip(np.rint(np.stack(parts, axis=2)), 0, 255).astype(np.uint8)
    return data
