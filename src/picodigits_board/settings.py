"""What can be set in settings.toml on the drive: each name with PICODIGITS_ before it."""

from __future__ import annotations

import os

SETTINGS = {
    "MODEL": "/model.pdm",  # the model file
    "DISPLAY": "st7735r",  # "none": USB only
    "FRAME_SIZE": "80x60",  # "160x120": smaller digits are read, and several beside each other; 29 KB more of heap
    "DIGITS": 1,  # 2, 3 or 4: so many are read side by side, left to right
    "FLIP_X": 0,  # 1: the camera's picture is mirrored
    "FLIP_Y": 0,  # 1: it is upside down
    "TRANSPOSE": 0,  # 1: the camera lies on its side; the article's mounting has this and FLIP_Y
    "MIN_CONFIDENCE": -1,  # percent: what is read with less is not shown; -1: as much as the model itself asks for
    "BACKLIGHT": 100,  # percent of the screen's light, for a wiring with SCREEN_LIGHT in pins.py
    "TRACE": 0,  # 1: scores, ink and heap over USB, for the bench
}
for key in SETTINGS:
    SETTINGS[key] = os.getenv("PICODIGITS_" + key, SETTINGS[key])


def adjusted(model):  # type: ignore[no-untyped-def]
    """The model, asking for as much confidence as the settings say."""
    if SETTINGS["MIN_CONFIDENCE"] >= 0:
        model.min_confidence = SETTINGS["MIN_CONFIDENCE"]
    return model


def check() -> None:
    """Raise ValueError for a frame size or a number of digits that there is not."""
    if SETTINGS["FRAME_SIZE"] not in ("80x60", "160x120"):
        raise ValueError("PICODIGITS_FRAME_SIZE: got %s, need 80x60 or 160x120" % SETTINGS["FRAME_SIZE"])
    if SETTINGS["DIGITS"] not in (1, 2, 3, 4):
        raise ValueError("PICODIGITS_DIGITS: got %s, need 1, 2, 3 or 4" % SETTINGS["DIGITS"])
