"""The article's program, written again for CircuitPython 9 and 10: the baseline of the bench. Runs as code.py.

It does what the article's did, stage by stage and just as slowly: imports svm_min.py (the exported LinearSVC), copies
60x60 pixels of the picture one by one, shrinks them with rotozoom, turns 12x12 pixels to grey one by one, scores,
redraws; it sleeps where that slept. The camera lies on its side, upside down, as there. Three things differ: `fourwire`
and `root_group` for what CircuitPython 10 no longer has, the built-in font for the article's BDF file, and the byte
order of a pixel, which is right here (docs/how-it-works.md tells of the bug).
"""

import gc
import time

# First of all: compiling it takes more heap than is left after the drivers.
began = time.monotonic_ns()
import svm_min

import_ms = (time.monotonic_ns() - began) // 10000 / 100

import bitmaptools
import board
import busio
import displayio
import terminalio
from adafruit_display_text import label
from adafruit_ov7670 import OV7670
from adafruit_st7735r import ST7735R
from fourwire import FourWire

SIDE = 60
INK = 12

displayio.release_displays()
spi = busio.SPI(clock=board.GP10, MOSI=board.GP11)
bus = FourWire(spi, command=board.GP16, chip_select=board.GP18, reset=board.GP17)
display = ST7735R(bus, width=128, height=160, bgr=True)
group = displayio.Group()
display.root_group = group
text = label.Label(terminalio.FONT, text="", color=0xFFFFFF, x=10, y=140)
group.append(text)
picture = displayio.Bitmap(80, 60, 65536)
swapped = displayio.ColorConverter(input_colorspace=displayio.Colorspace.RGB565_SWAPPED)
tile = displayio.TileGrid(picture, pixel_shader=swapped, x=30, y=30)
tile.transpose_xy = True
group.append(tile)
small = displayio.Bitmap(INK, INK, 65536)

camera = OV7670(
    busio.I2C(board.GP21, board.GP20),
    data_pins=[getattr(board, "GP%d" % i) for i in range(8)],
    clock=board.GP8,
    vsync=board.GP13,
    href=board.GP12,
    mclk=board.GP9,
    shutdown=board.GP15,
    reset=board.GP14,
)
camera.size = 3  # 80x60
camera.flip_y = True


def darkness(value):
    """0..1 of a byte-swapped RGB565 pixel, 1 = black."""
    value = (value & 0xFF) << 8 | value >> 8
    return 1 - ((value >> 11) + (value >> 5 & 63) + (value & 31)) / 128


def ms_since(start):
    """Milliseconds from `start`, in time.monotonic_ns, to two places."""
    return (time.monotonic_ns() - start) // 10000 / 100


number = 0
loop_start = time.monotonic_ns()
while True:
    loop_ms = ms_since(loop_start)
    loop_start = start = time.monotonic_ns()
    camera.capture(picture)
    capture_ms = ms_since(start)
    time.sleep(0.1)
    start = time.monotonic_ns()
    crop = displayio.Bitmap(SIDE, SIDE, 65536)
    for x in range(SIDE):
        for y in range(SIDE):
            crop[x, y] = picture[x, y]
    bitmaptools.rotozoom(small, crop, scale=INK / SIDE, ox=0, oy=0, px=0, py=0)
    del crop
    crop_ms = ms_since(start)
    start = time.monotonic_ns()
    grey = []
    for x in range(INK):
        for y in range(INK):
            value = darkness(small[x, y])
            grey.append(value if value >= 0.5 else 0)
    grey_ms = ms_since(start)
    picture.dirty()
    start = time.monotonic_ns()
    display.refresh(minimum_frames_per_second=0)
    screen_ms = ms_since(start)
    start = time.monotonic_ns()
    scores = svm_min.score(grey)
    network_ms = ms_since(start)
    read = scores.index(max(scores))
    text.text = "Prediction : " + str(read)
    time.sleep(0.01)
    print(
        "picodigits: frame=%d read=%d import_ms=%.2f capture_ms=%.2f crop_ms=%.2f grey_ms=%.2f network_ms=%.2f "
        "screen_ms=%.2f loop_ms=%.2f free=%d"
        % (number, read, import_ms, capture_ms, crop_ms, grey_ms, network_ms, screen_ms, loop_ms, gc.mem_free())
    )
    number += 1
