"""Draws the pictures of the user's guide: the wiring step by step, and what the screen shows when something is wrong.

    python docs/pictures.py            # writes docs/guide/*.png

The screens are the board's own program drawing on the PC; what is wrong is done to the frame as the fault does it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from picodigits import camera, datasets, frames, modelfile
from picodigits.board import diagram, profiles, wiring
from picodigits.executors import NumpyExecutor
from picodigits.lcd import Lcd

OUT = Path(__file__).with_name("guide")
STEPS = (
    ("1-supply", lambda wire: wire.pin in ("GND", "3V3(OUT)", "VBUS") and wire.module != "pull-up"),
    ("2-control", lambda wire: wire.module != "screen" and wire.terminal in ("SIOD", "SIOC", "RESET", "PWDN", "XCLK")),
    ("3-picture", lambda wire: wire.module == "camera"),
    ("4-screen", lambda wire: True),
)
DONE = "#c4c4c4"  # wires of earlier steps
ENLARGE = 2

Frame = NDArray[np.uint16]


def main() -> None:
    """Write them all."""
    for name, image in {**steps(), "screens": sheet(screens()), "symptoms": sheet(symptoms())}.items():
        path = OUT / f"{name}.png"
        image.quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
        print(path, path.stat().st_size)


def steps() -> dict[str, Image.Image]:
    """The drawing of `picodigits wiring` in four steps: what comes now in its colours, what is there in grey."""
    profile = profiles.find("pico")
    made = wiring.wires(wiring.read_pins(), profile)
    whole = diagram.draw(made, profile)
    pictures = {}
    before: set[diagram.Point] = set()
    for name, belongs in STEPS:
        nets = {net for net, _, _, _ in diagram.links_of([wire for wire in made if belongs(wire)])}
        seen = {way for net in nets for way in whole.routes.get(net, [])} | before
        shapes: list[diagram.Shape] = []
        for shape in whole.shapes:
            if isinstance(shape, diagram.Line):
                if shape.points not in seen:
                    continue
                if shape.points in before and shape.colour != "#ffffff":
                    shape = replace(shape, colour=DONE)
            elif isinstance(shape, diagram.Disc) and shape.radius < 7:  # a joint
                if not any((shape.x, shape.y) in way for way in seen):
                    continue
                if any((shape.x, shape.y) in way for way in before):
                    shape = replace(shape, fill=DONE)
            shapes.append(shape)
        before = seen
        image = diagram.to_image(replace(whole, shapes=shapes))
        pictures[f"wiring-{name}"] = image.resize(
            (image.width * 2 // 5, image.height * 2 // 5), Image.Resampling.LANCZOS
        )
    return pictures


def screens() -> dict[str, Image.Image]:
    """What the screen shows while all is well, and its hints."""
    images = datasets.load("digits", "test").first_of_each(3).images
    good = camera.photograph(images[15:16], "studio", seed=3)[0]
    rows = {"all is well": shown(good)}
    lcd = Lcd(modelfile.find("fast"))
    rows["the camera's answer is missing"] = lcd.message(
        "Not ready", "no answer on I2C. Check GP20 SDA, GP21 SCL, 3.3 V and GP9 MCLK"
    )
    rows["nothing to read"] = shown(camera.photograph(np.zeros((1, 28, 28), np.uint8), "studio", seed=3)[0])
    rows["cut off"] = shown(camera.no_digit("cut", 1, "studio", seed=6, digits=images)[0])
    rows["too small"] = shown(_small(good))
    rows["two at once"] = shown(camera.no_digit("two digits", 1, "studio", seed=5, digits=images)[0])
    return rows


def symptoms() -> dict[str, Image.Image]:
    """What the screen shows when a wire, the lens or a setting is wrong."""
    images = datasets.load("digits", "test").first_of_each(3).images
    good = camera.photograph(images[15:16], "desk", seed=4)[0]
    rng = np.random.default_rng(0)
    torn = np.stack([np.roll(row, shift) for row, shift in zip(good, rng.integers(-9, 10, len(good)), strict=True)])
    faults: dict[str, Frame] = {
        "black: lens cap, no light": _dark(good),
        "wrong colours: D7 is loose": _bytes(good, lambda data: data & 0x7F),
        "wrong colours: D3, D4 swapped": _bytes(good, lambda data: data & 0xE7 | (data & 8) << 1 | (data & 16) >> 1),
        "green and pink: a byte was lost": _bytes(good, lambda data: np.roll(data, 1)),
        "torn: HREF or PCLK is loose": torn,
        "grain: no common ground": _bytes(good, lambda data: data ^ rng.integers(0, 256, data.shape, np.uint8) & 0x90),
        "doubled: settings were lost": np.repeat(good, 2, axis=0).reshape(120, 80)[:60],
        "blurred: turn the lens": _blurred(good),
        "on its side: transpose=1": _turned(good),
        "upside down: flip_y=1": good[::-1].copy(),
    }
    return {name: shown(frame) for name, frame in faults.items()}


def shown(frame: Frame) -> Image.Image:
    """The LCD for a frame, as the default model reads it."""
    model = modelfile.find("fast")
    read = NumpyExecutor(model).read(frame[None])
    return Lcd(model).show(
        frame, read.inks.inks[0], int(read.decisions[0]), int(read.confidences[0]), int(read.inks.statuses[0]), 10.8,
        read.inks.box(0),
    )  # fmt: skip


def sheet(pictures: dict[str, Image.Image], columns: int = 5) -> Image.Image:
    """Pictures in rows, each with its name below."""
    wide, tall = 128 * ENLARGE + 24, 160 * ENLARGE + 44
    columns = min(columns, -(-len(pictures) // 2)) if len(pictures) > 4 else len(pictures)
    canvas = Image.new("RGB", (wide * columns, tall * -(-len(pictures) // columns)), "white")
    draw = ImageDraw.Draw(canvas)
    for number, (name, picture) in enumerate(pictures.items()):
        x, y = number % columns * wide + 12, number // columns * tall + 8
        canvas.paste(picture.resize((128 * ENLARGE, 160 * ENLARGE), Image.Resampling.NEAREST), (x, y))
        draw.text((x, y + 160 * ENLARGE + 6), name, "black", diagram.font(14))
    return canvas


def _bytes(frame: Frame, fault: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Frame:
    """What arrives of the bytes that the camera sent."""
    return fault(frame.reshape(-1).view(np.uint8)).astype(np.uint8).view(np.uint16).reshape(frame.shape)


def _image(frame: Frame) -> Image.Image:
    return Image.fromarray(frames.decode(frame[None])[0])


def _frame(image: Image.Image) -> Frame:
    return frames.encode(np.asarray(image)[None])[0]


def _blurred(frame: Frame) -> Frame:
    return _frame(_image(frame).filter(ImageFilter.GaussianBlur(4)))


def _dark(frame: Frame) -> Frame:
    noise = np.random.default_rng(1).normal(0, 3, (60, 80, 3))
    return _frame(Image.fromarray(np.clip(np.asarray(_image(frame)) * 0.03 + 6 + noise, 0, 255).astype(np.uint8)))


def _turned(frame: Frame) -> Frame:
    return _frame(_image(frame).rotate(90, expand=True).resize((80, 107)).crop((0, 23, 80, 83)))


def _small(frame: Frame) -> Frame:
    image = _image(frame)
    paper = image.getpixel((2, 2))
    small = Image.new("RGB", image.size, paper)
    small.paste(image.resize((16, 12), Image.Resampling.BOX), (32, 24))
    return _frame(small)


if __name__ == "__main__":
    main()
