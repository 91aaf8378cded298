"""Camera and LCD on the pins of an RP2040 without firmware: its peripherals are driven by their registers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

rp2040 = pytest.importorskip("rp2040py.rp2040", reason="needs the extra 'bench'")

from picodigits.bench.board import CameraWires, LcdWires  # noqa: E402
from picodigits.bench.ov7670 import OV7670  # noqa: E402
from picodigits.bench.st7735r import ST7735R  # noqa: E402
from test_bench_ov7670 import RGB565, SIZE_80X60  # noqa: E402

SDA, SCL, PCLK, MCLK, HREF, VSYNC, RESET, SHUTDOWN = 20, 21, 8, 9, 12, 13, 14, 15
LCD_DC, LCD_RESET, LCD_CS = 16, 17, 18
IC_TAR, IC_DATA_CMD, IC_CLR_TX_ABRT, IC_ENABLE, IC_TX_ABRT_SOURCE = 0x04, 0x10, 0x54, 0x6C, 0x80
STOP, READ = 1 << 9, 1 << 8
DREQ_PIO0_RX0 = 4
SSPCR0, SSPCR1, SSPDR, SSPCPSR = 0x00, 0x04, 0x08, 0x10


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (60, 80), np.uint16)


@pytest.fixture
def mcu() -> Any:
    return rp2040.RP2040()


@pytest.fixture
def camera(mcu: Any, picture: np.ndarray) -> CameraWires:
    """A camera with MCLK running, out of reset, its eleven output lines readable."""
    wires = CameraWires(mcu, OV7670(lambda: picture))
    start_mclk(mcu)
    drive_pin(mcu, SHUTDOWN, False)
    drive_pin(mcu, RESET, True)
    for number in (*range(8), PCLK, HREF, VSYNC, SDA, SCL):
        mcu.gpio[number].pad_value |= 0x40  # input enable
    return wires


def start_mclk(mcu: Any) -> None:
    mcu.gpio[MCLK].ctrl = 4  # PWM
    channel = mcu.pwm.channels[4]
    for offset, value in ((0x04, 1 << 4), (0x10, 6), (0x0C, 4 << 16), (0x00, 1)):
        channel.write_register(offset, value)


def drive_pin(mcu: Any, number: int, high: bool) -> None:
    pin = mcu.gpio[number]
    pin.ctrl = 5  # SIO
    bit = 1 << number
    mcu.sio.gpio_output_enable |= bit
    mcu.sio.gpio_value = mcu.sio.gpio_value | bit if high else mcu.sio.gpio_value & ~bit
    pin.check_for_updates()


def i2c(mcu: Any, *bytes_out: int, read: int = 0, address: int = 0x21) -> list[int] | None:
    """One transfer on I2C0; the bytes read, or None where nobody acknowledged."""
    bus = mcu.i2c[0]
    bus.read_uint32(IC_CLR_TX_ABRT)
    bus.write_uint32(IC_ENABLE, 0)
    bus.write_uint32(IC_TAR, address)
    bus.write_uint32(IC_ENABLE, 1)
    for number, byte in enumerate(bytes_out):
        bus.write_uint32(IC_DATA_CMD, byte | (STOP if number == len(bytes_out) - 1 else 0))
    for number in range(read):
        bus.write_uint32(IC_DATA_CMD, READ | (STOP if number == read - 1 else 0))
    if bus.read_uint32(IC_TX_ABRT_SOURCE):
        return None
    return [bus.read_uint32(IC_DATA_CMD) & 0xFF for _ in range(read)]


def configure(mcu: Any, registers: str) -> None:
    for pair in registers.split():
        register, value = (int(part, 16) for part in pair.split("="))
        assert i2c(mcu, register, value) is not None


def look(mcu: Any) -> None:
    """Start a DMA channel that waits for what a PIO program reads, as while CircuitPython captures."""
    channel = mcu.dma.channels[0]
    channel.write_uint32(0x08, 9600)  # TRANS_COUNT
    channel.write_uint32(0x0C, DREQ_PIO0_RX0 << 15 | 1)  # CTRL_TRIG: enabled
    assert channel.active


def levels(mcu: Any, ms: float, step_ns: float = 20) -> Iterator[tuple[bool, bool, bool, int]]:
    """VSYNC, HREF, PCLK and the data byte, every 20 ns of the emulated clock."""
    pins = [mcu.gpio[number] for number in (VSYNC, HREF, PCLK)]
    for _ in range(int(ms * 1e6 / step_ns)):
        mcu.clock.tick(step_ns)
        vsync, href, pclk = (pin.input_value for pin in pins)
        byte = sum(mcu.gpio[line].input_value << line for line in range(8)) if pclk else 0
        yield vsync, href, pclk, byte


def capture(mcu: Any, ms: float = 25) -> list[bytes]:
    """The rows of the first frame after VSYNC has gone up, taken at each rise of PCLK as the Pico does."""
    rows: list[bytearray] = []
    vsync_before, href_before, pclk_before = True, False, False
    inside = False
    for vsync, href, pclk, byte in levels(mcu, ms):
        if vsync and not vsync_before:
            inside = True
        if not vsync and vsync_before and rows:
            break
        if inside and href and not href_before:
            rows.append(bytearray())
        if inside and href and pclk and not pclk_before:
            rows[-1].append(byte)
        vsync_before, href_before, pclk_before = vsync, href, pclk
    return [bytes(row) for row in rows]


def test_a_frame_on_the_wires_is_the_picture(mcu: Any, camera: CameraWires, picture: np.ndarray) -> None:
    configure(mcu, f"15=02 {RGB565} {SIZE_80X60}")
    look(mcu)
    assert capture(mcu) == [row.tobytes() for row in picture]


def test_a_stuck_data_line_shows_in_every_byte(mcu: Any, camera: CameraWires, picture: np.ndarray) -> None:
    configure(mcu, f"15=02 {RGB565} {SIZE_80X60}")
    camera.stuck = {7: True, 0: False}
    look(mcu)
    sent = np.frombuffer(picture.tobytes(), np.uint8)
    assert b"".join(capture(mcu)) == (sent & 0xFE | 0x80).tobytes()


def test_swapped_data_lines_arrive_in_each_others_place(mcu: Any, camera: CameraWires, picture: np.ndarray) -> None:
    configure(mcu, f"15=02 {RGB565} {SIZE_80X60}")
    camera.swapped = (2, 3)
    look(mcu)
    sent = np.frombuffer(picture.tobytes(), np.uint8)
    swapped = sent & 0xF3 | (sent & 4) << 1 | (sent & 8) >> 1
    assert b"".join(capture(mcu)) == swapped.tobytes()
    camera.swapped = None
    assert capture(mcu) == [row.tobytes() for row in picture]


@pytest.mark.parametrize(("wire", "number"), [("VSYNC", VSYNC), ("HREF", HREF), ("PCLK", PCLK), ("D3", 3)])
def test_the_pin_of_a_broken_wire_floats_until_it_is_mended(
    mcu: Any, camera: CameraWires, picture: np.ndarray, wire: str, number: int
) -> None:
    configure(mcu, f"15=02 {RGB565} {SIZE_80X60}")
    camera.broken = {wire}
    look(mcu)
    for pull, level in ((0x08, True), (0x04, False)):  # PUE, PDE (RP2040 datasheet, PADS_BANK0)
        mcu.gpio[number].pad_value = 0x40 | pull
        assert {mcu.gpio[number].input_value for _ in levels(mcu, 15, step_ns=1000)} == {level}
    camera.broken = ()
    assert capture(mcu) == [row.tobytes() for row in picture]


def test_without_the_cable_every_line_floats(mcu: Any, camera: CameraWires) -> None:
    camera.connected = False
    for number in (*range(8), PCLK, HREF, VSYNC):
        for pull, level in ((0x08, True), (0x04, False)):
            mcu.gpio[number].pad_value = 0x40 | pull
            assert mcu.gpio[number].input_value == level


def test_a_broken_clock_makes_the_camera_mute(mcu: Any, camera: CameraWires) -> None:
    camera.broken = {"MCLK"}
    assert i2c(mcu, 0x0A, read=1) is None
    camera.broken = ()
    assert i2c(mcu, 0x0A, read=1) == [0x76]


def test_a_camera_at_another_address_answers_there_alone(mcu: Any, camera: CameraWires) -> None:
    assert camera.device is not None
    camera.device.address = 0x30
    assert i2c(mcu, 0x0A, read=1) is None
    assert i2c(mcu, 0x0A, read=1, address=0x30) == [0x76]


def test_the_lens_stands_between_the_scene_and_the_sensor(mcu: Any, camera: CameraWires, picture: np.ndarray) -> None:
    configure(mcu, f"15=02 {RGB565} {SIZE_80X60}")
    assert camera.device is not None
    camera.device.lens = lambda rgb: rgb * 0
    look(mcu)
    assert set(b"".join(capture(mcu))) == {0}
    camera.device.lens = None
    assert capture(mcu) == [row.tobytes() for row in picture]


def test_a_broken_vsync_wire_never_moves(mcu: Any, camera: CameraWires) -> None:
    configure(mcu, f"15=02 {RGB565} {SIZE_80X60}")
    camera.broken = {"VSYNC"}
    assert len({vsync for vsync, *_ in levels(mcu, 30, step_ns=1000)}) == 1


def test_vsync_moves_whether_or_not_anybody_looks(mcu: Any, camera: CameraWires) -> None:
    configure(mcu, f"15=02 {RGB565} {SIZE_80X60}")
    seen = list(levels(mcu, 30, step_ns=1000))
    assert {vsync for vsync, *_ in seen} == {True, False}
    assert not any(pclk for _, _, pclk, _ in seen)  # pixels that nobody takes are not moved


def test_nothing_moves_without_mclk(mcu: Any, camera: CameraWires) -> None:
    mcu.pwm.channels[4].write_register(0x00, 0)
    look(mcu)
    assert len({vsync for vsync, *_ in levels(mcu, 30, step_ns=1000)}) == 1
    assert i2c(mcu, 0x0A) is None


def test_a_16_mhz_clock_costs_no_emulated_edges(mcu: Any, camera: CameraWires) -> None:
    assert mcu.pwm.channels[4].timer.enable is False
    sensor = camera.sensor()
    assert sensor is not None
    assert sensor.mclk_hz == pytest.approx(125e6 / 7)


def test_the_chip_id_is_read_over_i2c(mcu: Any, camera: CameraWires) -> None:
    assert i2c(mcu, 0x0A) == []
    assert i2c(mcu, read=1) == [0x76]
    assert i2c(mcu, 0x0A, address=0x3C) is None


def test_a_camera_that_is_not_connected_does_not_answer(mcu: Any, camera: CameraWires) -> None:
    camera.connected = False
    assert i2c(mcu, 0x0A) is None
    assert mcu.gpio[SDA].input_value  # the pull-ups stay on the board


def test_a_camera_plugged_in_again_has_forgotten_its_registers(mcu: Any, camera: CameraWires) -> None:
    configure(mcu, SIZE_80X60)
    camera.connected = False
    camera.connected = True
    assert i2c(mcu, 0x72) == []
    assert i2c(mcu, read=1) == [0x11]


def test_shutdown_and_reset_pins_reach_the_sensor(mcu: Any, camera: CameraWires) -> None:
    drive_pin(mcu, SHUTDOWN, True)
    assert i2c(mcu, 0x0A) is None
    drive_pin(mcu, SHUTDOWN, False)
    assert i2c(mcu, 0x0A) is not None
    drive_pin(mcu, RESET, False)
    assert i2c(mcu, 0x0A) is None


def test_without_pull_ups_both_wires_read_low(mcu: Any, camera: CameraWires) -> None:
    assert mcu.gpio[SDA].input_value
    assert mcu.gpio[SCL].input_value
    camera.pull_ups = False
    assert not mcu.gpio[SDA].input_value
    assert not mcu.gpio[SCL].input_value


def bit_bang_probe(mcu: Any, address: int) -> bool:
    """A start, an address to write to, its acknowledge and a stop, by open-drain pins; whether it was acknowledged."""

    def wire(number: int, released: bool) -> None:
        pin = mcu.gpio[number]
        pin.ctrl = 5
        bit = 1 << number
        mcu.sio.gpio_value &= ~bit
        enable = mcu.sio.gpio_output_enable
        mcu.sio.gpio_output_enable = enable & ~bit if released else enable | bit
        pin.check_for_updates()

    for number, released in ((SCL, True), (SDA, True), (SDA, False), (SCL, False)):
        wire(number, released)
    for place in range(7, -1, -1):
        wire(SDA, bool((address << 1) >> place & 1))
        wire(SCL, True)
        wire(SCL, False)
    wire(SDA, True)
    wire(SCL, True)
    acknowledged = not mcu.gpio[SDA].input_value
    wire(SCL, False)
    for number, released in ((SDA, False), (SCL, True), (SDA, True)):
        wire(number, released)
    return acknowledged


def test_a_bit_banged_probe_is_acknowledged(mcu: Any, camera: CameraWires) -> None:
    assert bit_bang_probe(mcu, 0x21)
    assert mcu.gpio[SDA].input_value  # let go after the stop
    assert not bit_bang_probe(mcu, 0x20)
    camera.connected = False
    assert not bit_bang_probe(mcu, 0x21)


@pytest.fixture
def lcd(mcu: Any) -> LcdWires:
    wires = LcdWires(mcu, ST7735R())
    mcu.spi[1].write_uint32(SSPCPSR, 6)
    mcu.spi[1].write_uint32(SSPCR0, 7)  # 8 bits
    mcu.spi[1].write_uint32(SSPCR1, 2)  # enable
    drive_pin(mcu, LCD_RESET, True)
    return wires


def spi(mcu: Any, data: bytes, *, command: bool = False, selected: bool = True) -> None:
    drive_pin(mcu, LCD_CS, not selected)
    drive_pin(mcu, LCD_DC, not command)
    for byte in data:
        mcu.spi[1].write_uint32(SSPDR, byte)
        mcu.clock.tick(1000)
    drive_pin(mcu, LCD_CS, True)


def light_one_pixel(mcu: Any, selected: bool = True) -> None:
    for command, parameters in (
        (0x11, b""),
        (0x29, b""),
        (0x3A, b"\x05"),
        (0x36, b"\xc0"),
        (0x2A, bytes(4)),
        (0x2B, bytes(4)),
        (0x2C, b"\xf8\x00"),
    ):
        spi(mcu, bytes([command]), command=True, selected=selected)
        spi(mcu, parameters, selected=selected)


def test_bytes_on_the_spi_reach_the_lcd(mcu: Any, lcd: LcdWires) -> None:
    light_one_pixel(mcu)
    assert lcd.device is not None
    assert lcd.device.picture()[0, 0].tolist() == [255, 0, 0]
    assert lcd.device.picture().sum() == 255


def test_a_chip_that_is_not_selected_takes_nothing(mcu: Any, lcd: LcdWires) -> None:
    light_one_pixel(mcu, selected=False)
    assert lcd.device is not None
    assert not lcd.device.awake


def test_a_missing_lcd_shows_nothing_and_the_spi_goes_on(mcu: Any, lcd: LcdWires) -> None:
    lcd.connected = False
    light_one_pixel(mcu)
    assert lcd.device is not None
    assert not lcd.device.picture().any()


def test_the_reset_pin_puts_the_lcd_to_sleep(mcu: Any, lcd: LcdWires) -> None:
    light_one_pixel(mcu)
    drive_pin(mcu, LCD_RESET, False)
    assert lcd.device is not None
    assert not lcd.device.awake


def test_a_byte_takes_its_time_on_the_spi(mcu: Any, lcd: LcdWires) -> None:
    spi(mcu, b"\x00", command=True)
    assert lcd.clock_hz == pytest.approx(125e6 / 6)
