"""picodigits on the board: camera -> frame -> ink -> scores -> decision -> screen, and a line a frame over USB.

What can be set in settings.toml stands in picodigits_board/settings.py, the wiring in picodigits_board/pins.py.
"""

from __future__ import annotations

import gc
import os
import time

import displayio

room = bytearray(61440)  # kept free of what is read in below, so that one large block is left in the end
picture = displayio.Bitmap(80, 60, 65536)  # of what stays, the largest first

from picodigits_board import display as lcd  # noqa: E402
from picodigits_board.settings import SETTINGS  # noqa: E402

display = lcd.open_display() if SETTINGS["DISPLAY"] != "none" else None
if display:
    display.welcome()

from picodigits_board import link  # noqa: E402
from picodigits_board.camera import Camera, CameraError  # noqa: E402

TRANSPOSE = bool(SETTINGS["TRANSPOSE"])


def complain(error):
    """Say over USB and on the screen what is wrong and what to do."""
    text = str(error)
    if isinstance(error, MemoryError):
        text = "out of memory: use a smaller model"
    elif isinstance(error, OSError):
        text = "%s: can't be read. Copy a model file to the drive" % SETTINGS["MODEL"]
    gc.collect()
    link.say("error=" + text)
    if display:
        display.message("Not ready", text)


def open_camera():
    """The camera, as soon as it answers."""
    while True:
        try:
            return Camera(picture, bool(SETTINGS["FLIP_X"]), bool(SETTINGS["FLIP_Y"]))
        except CameraError as error:
            complain(error)
            time.sleep(2)


def read_for_ever(camera):
    """One frame after the other, from the camera to the screen."""
    number = 0
    while True:
        cost.start()
        frame = camera.capture()
        cost.done()
        ink = finder.ink(frame)
        if TRANSPOSE:
            ink = ink.transpose().copy()
        cost.done()
        scores = net.scores(ink)
        decision = decider.update(scores, finder.status == preprocess.FOUND)
        text = model.labels[decision] if decision >= 0 else ""
        cost.done()
        if view:
            view.show(ink, text, decider.confidence, finder.status, 1000 / cost.loop_ms if number else 0, finder.box)
        cost.done()
        line = "frame=%d read=%s confidence=%d status=%s " % (
            number, text.replace(" ", "_") or "none", decider.confidence, preprocess.STATUS_KEYS[finder.status],
        )  # fmt: skip
        if SETTINGS["TRACE"]:
            line += "scores=%s ink=%s " % (",".join([str(s) for s in scores]), ink.tobytes().hex())
        gc.collect()  # here, or somewhere in a stage
        link.say(line + cost.text())
        number += 1


camera = view = None
try:
    camera = open_camera()
    camera.capture()
    if display:
        display.camera(picture, TRANSPOSE)  # something to look at, while the rest is read in
    from picodigits_board import modelfile

    if os.stat(SETTINGS["MODEL"])[6] > 16384:
        room = None
    model = modelfile.load(SETTINGS["MODEL"])
    from picodigits_board import decide, network, preprocess, screen, stages

    net = network.Network(model)
    finder = preprocess.make(model.preprocess_id, model.ink_height, model.ink_width)
    decider = decide.Decider(model.octave, model.min_confidence)
    cost = stages.Stages(bool(SETTINGS["TRACE"]))
    if display:
        view = screen.Screen(display, picture, model.labels, model.ink_height, model.ink_width, TRANSPOSE)
    room = None
    while True:
        try:
            read_for_ever(camera)
        except CameraError as error:
            complain(error)
        camera.deinit()
        camera = open_camera()
        if view:
            view.redraw()
except (MemoryError, OSError, ValueError) as error:
    if camera:
        camera.deinit()  # and its watchdog, or the board would restart for ever
        camera = None
    complain(error)
    while True:
        time.sleep(1)  # until the drive changes: then CircuitPython starts this file again
finally:
    if camera:
        camera.deinit()
    lcd.close_display(display)
