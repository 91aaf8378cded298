"""What can be set in settings.toml on the drive: each name with PICODIGITS_ before it."""

from __future__ import annotations

import os

SETTINGS = {
    "MODEL": "/model.pdm",  # the model file
    "DISPLAY": "st7735r",  # "none": USB only
    "FLIP_X": 0,  # 1: the camera's picture is mirrored
    "FLIP_Y": 0,  # 1: it is upside down
    "TRANSPOSE": 0,  # 1: the camera lies on its side; the article's mounting has this and FLIP_Y
    "TRACE": 0,  # 1: scores, ink and heap over USB, for the bench
}
for key in SETTINGS:
    SETTINGS[key] = os.getenv("PICODIGITS_" + key, SETTINGS[key])
