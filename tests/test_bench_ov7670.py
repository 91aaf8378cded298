"""The virtual camera, driven over SCCB and looked at as the bytes that leave it."""

from __future__ import annotations

import numpy as np
import pytest

from picodigits.bench import ov7670
from picodigits.bench.ov7670 import OV7670
from picodigits.errors import BenchError

# What adafruit_ov7670 1.1.9 writes for its sizes 3 (80x60) and 2 (160x120), and for its two colour spaces.
SIZE_80X60 = "0C=04 3E=1B 72=33 73=F3 70=20 71=20 17=1A 18=08 32=12 19=03 1A=7B 03=00 A2=02"
SIZE_160X120 = "0C=04 3E=1A 72=22 73=F2 70=20 71=20 17=17 18=05 32=92 19=02 1A=7A 03=0A A2=02"
SIZE_40X30 = "0C=0C 3E=1C 72=33 73=F4 70=40 71=40 17=1F 18=0D 32=E4 19=03 1A=7B 03=0F A2=02"
RGB565 = "12=04 8C=00 40=D0"
YUV = "12=00 40=C0"


def write(camera: OV7670, text: str) -> None:
    for pair in text.split():
        register, value = (int(part, 16) for part in pair.split("="))
        assert camera.sccb_start(ov7670.ADDRESS)
        camera.sccb_write(register)
        camera.sccb_write(value)


def read(camera: OV7670, register: int) -> int:
    assert camera.sccb_start(ov7670.ADDRESS)
    camera.sccb_write(register)
    assert camera.sccb_start(ov7670.ADDRESS)
    return camera.sccb_read()


def started(picture: np.ndarray, registers: str = f"{RGB565} {SIZE_80X60}", **kwargs) -> OV7670:
    camera = OV7670(lambda: picture, **kwargs)
    camera.mclk_hz = 16e6
    write(camera, registers)
    return camera


def seen(camera: OV7670) -> np.ndarray:
    rows = camera.rows()
    return np.frombuffer(b"".join(rows), np.uint16).reshape(len(rows), -1)


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (60, 80), np.uint16)


@pytest.mark.parametrize(
    ("registers", "shape"), [(SIZE_80X60, (60, 80)), (SIZE_160X120, (120, 160)), (SIZE_40X30, (30, 40))]
)
def test_the_drivers_size_registers_give_its_sizes(registers: str, shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 65536, shape, np.uint16)
    camera = started(picture, f"{RGB565} {registers}")
    assert camera.size == shape
    assert np.array_equal(seen(camera), picture)


def test_rgb565_leaves_high_byte_first(picture: np.ndarray) -> None:
    red = np.full((60, 80), 0xF800, np.uint16).byteswap()
    assert started(red).rows()[0][:4] == b"\xf8\x00\xf8\x00"


def test_com3_swaps_the_bytes(picture: np.ndarray) -> None:
    camera = started(picture)
    write(camera, "0C=44")
    assert np.array_equal(seen(camera), picture.byteswap())


@pytest.mark.parametrize(
    ("mvfp", "expected"),
    [
        (0x07, lambda p: p),
        (0x17, lambda p: p[::-1]),
        (0x27, lambda p: p[:, ::-1]),
        (0x37, lambda p: p[::-1, ::-1]),
    ],
)
def test_the_flip_register_flips(mvfp: int, expected, picture: np.ndarray) -> None:
    camera = started(picture)
    write(camera, f"1E={mvfp:02X}")
    assert np.array_equal(seen(camera), expected(picture))


def test_a_module_mounted_upside_down_is_upright_with_its_flip(picture: np.ndarray) -> None:
    camera = started(picture, upright_mvfp=ov7670.MVFP_VFLIP)
    assert np.array_equal(seen(camera), picture[::-1])
    write(camera, "1E=17")
    assert np.array_equal(seen(camera), picture)


def test_a_picture_of_another_size_is_sampled(picture: np.ndarray) -> None:
    camera = started(picture, f"{RGB565} {SIZE_160X120}")
    assert np.array_equal(seen(camera), picture.repeat(2, 0).repeat(2, 1))


def test_yuv_carries_luminance_and_colour_in_the_order_of_the_registers() -> None:
    def bytes_of(registers: str, rgb565: int) -> list[int]:
        picture = np.full((60, 80), rgb565, np.uint16).byteswap()
        return list(started(picture, f"{YUV} {SIZE_80X60} {registers}").rows()[0][:4])

    assert bytes_of("3A=04 3D=88", 0xFFFF) == [255, 128, 255, 128]
    assert bytes_of("3A=04 3D=88", 0xF800) == [76, 85, 76, 255]  # Y U Y V
    assert bytes_of("3A=04 3D=89", 0xF800) == [76, 255, 76, 85]  # Y V Y U
    assert bytes_of("3A=0C 3D=88", 0xF800) == [85, 76, 255, 76]  # U Y V Y
    assert bytes_of("3A=0C 3D=89", 0xF800) == [255, 76, 85, 76]  # V Y U Y


def test_the_test_pattern_shows_eight_bars_whatever_the_scene(picture: np.ndarray) -> None:
    camera = started(picture)
    write(camera, "71=A0")
    row = seen(camera)[30].byteswap()
    assert [int(value) for value in row[5::10]] == [0xFFFF, 0xFFE0, 0x07FF, 0x07E0, 0xF81F, 0xF800, 0x1F, 0]
    write(camera, "70=A0")
    fading = seen(camera).byteswap()
    assert fading[0, 5] == 0xFFFF
    assert fading[59, 5] != 0xFFFF
    write(camera, "71=20")
    assert set(seen(camera).byteswap()[0].tolist()) == {1 << bit for bit in range(16)}
    write(camera, "70=20")
    assert np.array_equal(seen(camera), picture)


def test_the_chip_tells_who_it_is_and_nobody_can_change_that(picture: np.ndarray) -> None:
    camera = started(picture)
    write(camera, "0A=00 0B=00 1C=00")
    assert [read(camera, register) for register in (0x0A, 0x0B, 0x1C, 0x1D)] == [0x76, 0x73, 0x7F, 0xA2]
    assert read(started(picture, chip_id=(0x77, 0x21)), 0x0A) == 0x77


def test_registers_keep_what_is_written_and_a_reset_puts_defaults_back(picture: np.ndarray) -> None:
    camera = started(picture)
    assert read(camera, 0x72) == 0x33
    write(camera, "12=80")
    assert read(camera, 0x72) == 0x11
    assert camera.size == (480, 640)
    write(camera, "72=33")
    camera.set_reset(True)
    camera.set_reset(False)
    assert read(camera, 0x72) == 0x11


def test_nothing_answers_without_a_clock_in_reset_or_in_power_down(picture: np.ndarray) -> None:
    camera = started(picture)
    for silence, sound in (
        (lambda: setattr(camera, "mclk_hz", 0.0), lambda: setattr(camera, "mclk_hz", 16e6)),
        (lambda: setattr(camera, "mclk_hz", 1e6), lambda: setattr(camera, "mclk_hz", 16e6)),
        (lambda: camera.set_reset(True), lambda: camera.set_reset(False)),
        (lambda: camera.set_power_down(True), lambda: camera.set_power_down(False)),
    ):
        silence()
        assert not camera.sccb_start(ov7670.ADDRESS)
        assert not camera.streaming
        sound()
        assert camera.sccb_start(ov7670.ADDRESS)
        assert camera.streaming


def test_another_address_is_not_answered(picture: np.ndarray) -> None:
    assert not started(picture).sccb_start(0x42)


def test_soft_sleep_stops_the_video_but_not_sccb(picture: np.ndarray) -> None:
    camera = started(picture)
    write(camera, "09=10")
    assert not camera.streaming
    assert camera.sccb_start(ov7670.ADDRESS)


def test_the_timing_is_the_datasheets_at_speed_one(picture: np.ndarray) -> None:
    camera = OV7670(lambda: picture, speed=1)
    camera.mclk_hz = 24e6
    write(camera, "12=04 40=D0 11=80")
    timing = camera.timing()  # VGA at 24 MHz: 30 frames a second
    assert timing.frame_ns == pytest.approx(1e9 / 30, rel=0.001)
    assert timing.vsync_ns / timing.row_ns == pytest.approx(3)
    assert timing.first_row_ns / timing.row_ns == pytest.approx(17)


def test_a_prescaler_and_more_speed_scale_every_time(picture: np.ndarray) -> None:
    slow, fast = started(picture, speed=1), started(picture, speed=4)
    assert slow.timing().frame_ns == pytest.approx(4 * fast.timing().frame_ns)
    before = slow.timing().frame_ns
    write(slow, "11=01")
    assert slow.timing().frame_ns == pytest.approx(2 * before)


def test_a_row_fits_between_two_rows_at_every_size(picture: np.ndarray) -> None:
    for registers in (SIZE_80X60, SIZE_160X120, SIZE_40X30):
        camera = started(picture, f"{RGB565} {registers}", speed=4)
        timing = camera.timing()
        height, width = camera.size
        assert width * 2 * timing.pclk_ns < timing.row_ns
        assert timing.vsync_ns + timing.first_row_ns + height * timing.row_ns <= timing.frame_ns


def test_com10_turns_the_polarities_over(picture: np.ndarray) -> None:
    camera = started(picture)
    write(camera, "15=00")
    plain = camera.timing()
    write(camera, "15=1A")
    turned = camera.timing()
    for name in ("vsync_active", "href_active", "pclk_sampling"):
        assert getattr(plain, name)
        assert not getattr(turned, name)


def test_a_format_that_is_not_modelled_is_refused_by_its_registers(picture: np.ndarray) -> None:
    camera = started(picture)
    write(camera, "40=F0")
    with pytest.raises(BenchError, match="COM7=04h COM15=F0h"):
        camera.rows()


def test_a_source_that_returns_no_picture_is_refused() -> None:
    camera = started(np.zeros((60, 80, 3), np.uint8))
    with pytest.raises(BenchError, match="need \\(height, width\\) uint16"):
        camera.rows()


def test_the_timing_without_a_clock_is_refused(picture: np.ndarray) -> None:
    camera = OV7670(lambda: picture)
    with pytest.raises(BenchError, match="got no MCLK"):
        camera.timing()
