"""picodigits on the board: camera -> frame -> ink -> scores -> decision -> screen, and a line a frame over USB.

What can be set in settings.toml stands in picodigits_board/settings.py, the wiring in picodigits_board/pins.py.
"""

from __future__ import annotations

import gc
import time

import displayio

picture = displayio.Bitmap(80, 60, 65536)  # of what stays, the largest first

from picodigits_board import display as lcd  # noqa: E402
from picodigits_board.settings import SETTINGS  # noqa: E402

display = lcd.open_display() if SETTINGS["DISPLAY"] != "none" else None
if display:
    display.welcome()

from picodigits_board import link  # noqa: E402
from picodigits_board.camera import CameraError, open_camera  # noqa: E402

TRANSPOSE = bool(SETTINGS["TRANSPOSE"])


def complain(error):
    """Say over USB and on the screen what is wrong and what to do."""
    gc.collect()
    text = link.explain(error, SETTINGS["MODEL"])
    link.say("error=" + text)
    if display:
        display.message("Not ready", text)


def read_for_ever(camera):
    """One frame after the other, from the camera to the screen; the first has been captured already."""
    frame = camera.frame
    while True:
        ink = finder.ink(frame)
        if TRANSPOSE:
            ink = ink.transpose().copy()
        cost.done("ink")
        scores = net.scores(ink)
        decision = decider.update(scores, finder.status == preprocess.FOUND)
        read = model.labels[decision] if decision >= 0 else ""
        cost.done("network")
        if view:
            view.show(ink, read, decider.confidence, finder.status, cost.fps, finder.box)
        cost.done("screen")
        gc.collect()  # here, or somewhere in a stage
        link.say(cost.line(read, decider.confidence, preprocess.STATUS_KEYS[finder.status], scores, ink))
        cost.next()
        camera.capture()
        cost.done("capture")


camera = view = None
try:
    camera = open_camera(picture, SETTINGS, complain)
    if display:
        display.camera(picture, TRANSPOSE)  # something to look at, while the rest is read in
    from picodigits_board import decide, modelfile, network, preprocess, screen, stages

    gc.collect()
    model = modelfile.load(SETTINGS["MODEL"])
    finder = preprocess.make(model.preprocess_id, model.ink_height, model.ink_width)
    decider = decide.Decider(model.octave, model.min_confidence, model.rejects)
    if display:
        view = screen.Screen(display, picture, model.labels, model.ink_height, model.ink_width, TRANSPOSE)
    gc.collect()
    net = network.Network(model)
    cost = stages.Stages(bool(SETTINGS["TRACE"]))
    while True:
        try:
            read_for_ever(camera)
        except CameraError as error:
            complain(error)
        camera.deinit()
        camera = open_camera(picture, SETTINGS, complain)
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
