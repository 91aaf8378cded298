"""The virtual LCD, driven with the bytes that arrive on its wire."""

from __future__ import annotations

import numpy as np
import pytest

from picodigits.bench import st7735r
from picodigits.bench.st7735r import ST7735R
from picodigits.errors import BenchError

adafruit_st7735r = pytest.importorskip("adafruit_st7735r", reason="needs the extra 'bench'")

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def send(lcd: ST7735R, command: int, *parameters: int) -> None:
    lcd.command(command)
    if parameters:
        lcd.data(bytes(parameters))


def send_init_sequence(lcd: ST7735R, *, bgr: bool = True) -> None:
    """Send what adafruit_st7735r sends, byte by byte, delays left out."""
    sequence = bytes(adafruit_st7735r._INIT_SEQUENCE) + (b"\x36\x01\xc0" if bgr else b"\x36\x01\xc8")
    at = 0
    while at < len(sequence):
        command, length = sequence[at], sequence[at + 1]
        delay = length & 0x80
        length &= 0x7F
        send(lcd, command, *sequence[at + 2 : at + 2 + length])
        at += 2 + length + (1 if delay else 0)


def on(**registers: int) -> ST7735R:
    """A controller as the driver leaves it, with single registers set otherwise."""
    lcd = ST7735R()
    send_init_sequence(lcd)
    if "madctl" in registers:
        send(lcd, st7735r.MADCTL, registers["madctl"])
    if "colmod" in registers:
        send(lcd, st7735r.COLMOD, registers["colmod"])
    return lcd


def window(lcd: ST7735R, left: int, top: int, right: int, bottom: int) -> None:
    send(lcd, st7735r.CASET, 0, left, 0, right)
    send(lcd, st7735r.RASET, 0, top, 0, bottom)
    lcd.command(st7735r.RAMWR)


def rgb565(*colours: tuple[int, int, int]) -> bytes:
    return b"".join((r >> 3 << 11 | g >> 2 << 5 | b >> 3).to_bytes(2, "big") for r, g, b in colours)


def draw_f(lcd: ST7735R) -> None:
    """An F in red whose corner is at (10, 20): 30 pixels high, arms to the right; it has no symmetry."""
    for left, top, right, bottom in ((10, 20, 13, 49), (10, 20, 29, 23), (10, 32, 22, 35)):
        window(lcd, left, top, right, bottom)
        lcd.data(rgb565(RED) * ((right - left + 1) * (bottom - top + 1)))


def shown_f(lcd: ST7735R) -> np.ndarray:
    return (lcd.picture() == RED).all(axis=2)


@pytest.fixture(scope="module")
def upright_f() -> np.ndarray:
    mask = np.zeros((160, 128), bool)
    mask[20:50, 10:14] = mask[20:24, 10:30] = mask[32:36, 10:23] = True
    return mask


def test_after_the_drivers_init_sequence_a_picture_is_upright_in_true_colours(upright_f: np.ndarray) -> None:
    lcd = on()
    draw_f(lcd)
    assert np.array_equal(shown_f(lcd), upright_f)
    window(lcd, 0, 0, 3, 0)
    lcd.data(rgb565(RED, GREEN, BLUE, WHITE))
    assert [tuple(pixel) for pixel in lcd.picture()[0, :4]] == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(
    ("madctl", "seen"),
    [
        (0x00, lambda f: f[::-1, ::-1]),  # half a turn
        (0x40, lambda f: f[::-1, :]),  # upside down
        (0x80, lambda f: f[:, ::-1]),  # mirrored
    ],
)
def test_a_wrong_madctl_shows_as_a_wrong_orientation(madctl, seen, upright_f: np.ndarray) -> None:
    lcd = on(madctl=madctl)
    draw_f(lcd)
    assert np.array_equal(shown_f(lcd), seen(upright_f))


@pytest.mark.parametrize(
    ("madctl", "quarter_turns"),
    [(0xA0, -1), (0x60, 1)],
)
def test_row_column_exchange_turns_the_picture_by_a_quarter(madctl, quarter_turns, upright_f) -> None:
    lcd = on(madctl=madctl)
    draw_f(lcd)  # addressed as 160 wide and 128 high now
    landscape = np.zeros((128, 160), bool)
    landscape[20:50, 10:14] = landscape[20:24, 10:30] = landscape[32:36, 10:23] = True
    assert np.array_equal(shown_f(lcd), np.rot90(landscape, quarter_turns))


def test_the_wrong_bgr_bit_shows_red_as_blue() -> None:
    lcd = ST7735R()
    send_init_sequence(lcd, bgr=False)
    window(lcd, 0, 0, 1, 0)
    lcd.data(rgb565(RED, GREEN))
    assert [tuple(pixel) for pixel in lcd.picture()[0, :2]] == [BLUE, GREEN]


@pytest.mark.parametrize(
    ("colmod", "raw"),
    [
        (0x03, bytes([0xF0, 0x00, 0xF0])),
        (0x05, rgb565(RED, GREEN)),
        (0x06, bytes([0xFC, 0, 0, 0, 0xFC, 0])),
    ],
)
def test_all_three_colour_depths_show_the_same(colmod: int, raw: bytes) -> None:
    lcd = on(colmod=colmod)
    window(lcd, 0, 0, 1, 0)
    lcd.data(raw)
    assert [tuple(pixel) for pixel in lcd.picture()[0, :2]] == [RED, GREEN]


@pytest.mark.parametrize("command", [st7735r.DISPOFF, st7735r.SLPIN, st7735r.SWRESET])
def test_off_asleep_and_reset_are_black_and_the_picture_comes_back(command: int, upright_f: np.ndarray) -> None:
    lcd = on()
    draw_f(lcd)
    lcd.command(command)
    assert not lcd.picture().any()
    lcd.command(st7735r.SLPOUT)
    lcd.command(st7735r.DISPON)
    assert np.array_equal(shown_f(lcd), upright_f)


def test_a_fresh_controller_shows_nothing_before_it_is_woken() -> None:
    lcd = ST7735R()
    send(lcd, st7735r.COLMOD, 5)
    draw_f(lcd)
    assert not lcd.picture().any()


def test_the_reset_pin_restores_madctl_and_colmod() -> None:
    lcd = on()
    lcd.reset()
    assert (lcd.madctl, lcd.colmod, lcd.awake, lcd.display_on) == (0, 6, False, False)


def test_a_software_reset_keeps_madctl() -> None:
    lcd = on()
    lcd.command(st7735r.SWRESET)
    assert lcd.madctl == 0xC0


def test_inversion_shows_complementary_colours_and_leaves_the_memory_alone() -> None:
    lcd = on()
    window(lcd, 0, 0, 0, 0)
    lcd.data(rgb565(RED))
    lcd.command(st7735r.INVON)
    assert tuple(lcd.picture()[0, 0]) == (0, 255, 255)
    lcd.command(st7735r.INVOFF)
    assert tuple(lcd.picture()[0, 0]) == RED


def test_single_bytes_give_the_same_picture_as_one_burst() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, 40_960, np.uint8).tobytes()
    at_once, by_bytes = on(), on()
    for lcd in (at_once, by_bytes):
        window(lcd, 0, 0, 127, 159)
    at_once.data(pixels)
    for byte in pixels:
        by_bytes.data(bytes([byte]))
    assert np.array_equal(at_once.picture(), by_bytes.picture())
    assert at_once.picture().any()


def test_every_rgb565_value_keeps_its_level() -> None:
    values = np.arange(1 << 16).reshape(4, -1)
    for block in values:
        lcd = on()
        window(lcd, 0, 0, 127, 159)
        lcd.data(block.astype(">u2").tobytes())
        seen = lcd.picture().reshape(-1, 3)[: len(block)].astype(int)
        assert np.array_equal(seen[:, 1], (block >> 5 & 63) << 2 | (block >> 5 & 63) >> 4)
        assert np.abs(seen[:, 0] - (block >> 11) * 255 / 31).max() < 4
        assert np.abs(seen[:, 2] - (block & 31) * 255 / 31).max() < 4


def test_pixels_wrap_round_inside_their_window() -> None:
    lcd = on()
    window(lcd, 5, 5, 6, 6)
    lcd.data(rgb565(RED, GREEN, BLUE, WHITE, GREEN))
    assert [tuple(pixel) for pixel in lcd.picture()[5:7, 5:7].reshape(-1, 3)] == [GREEN, GREEN, BLUE, WHITE]


def test_pixels_outside_the_memory_are_dropped() -> None:
    lcd = on()
    window(lcd, 126, 159, 129, 160)
    lcd.data(rgb565(RED, GREEN, BLUE, BLUE, BLUE, BLUE, BLUE, BLUE))
    picture = lcd.picture()
    assert [tuple(pixel) for pixel in picture[159, 126:]] == [RED, GREEN]
    assert not (picture == BLUE).all(axis=2).any()


def test_a_pixel_cut_off_by_a_command_is_dropped() -> None:
    lcd = on()
    window(lcd, 0, 0, 9, 0)
    lcd.data(rgb565(RED) + b"\xff")
    window(lcd, 1, 0, 9, 0)
    lcd.data(rgb565(GREEN))
    assert [tuple(pixel) for pixel in lcd.picture()[0, :3]] == [RED, GREEN, BLACK]


def test_a_command_that_is_no_byte_is_refused() -> None:
    with pytest.raises(BenchError, match=r"got 300, need 0\.\.255"):
        ST7735R().command(300)
