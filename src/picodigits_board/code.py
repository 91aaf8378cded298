"""picodigits on the board: camera -> frame -> ink -> scores -> decision -> screen, and a line a frame over USB.

What can be set in settings.toml stands in picodigits_board/settings.py, the wiring in picodigits_board/pins.py.
"""

from __future__ import annotations

import gc
import time
from array import array

from picodigits_board import heap

piece = heap.take_in_one_piece()
picture = array("L", bytes(9600))  # (60, 80) RGB565_SWAPPED; of what stays, the largest first

from picodigits_board import display, link  # noqa: E402
from picodigits_board.settings import SETTINGS  # noqa: E402

lcd = display.open_display() if SETTINGS["DISPLAY"] != "none" else None

from picodigits_board.camera import CameraError, open_camera  # noqa: E402

TRANSPOSE = bool(SETTINGS["TRANSPOSE"])


def complain(error):
    """Say over USB and on the screen what is wrong and what to do."""
    text = link.explain(error, SETTINGS["MODEL"])
    link.say("error=" + text)
    if lcd:
        lcd.message("Not ready", text)


def read_frame():
    """What the camera has captured, to the screen and over USB. Nothing of it stays, so that large blocks stay free."""
    ink = finder.ink(camera.frame)
    gc.collect()  # what that left, some 55 KB, before it is in the network's way
    cost.done("ink")
    if view:
        view.show_picture(finder.status, finder.box)
    cost.done("screen")
    camera.begin()  # the next picture comes in while this one is read
    if TRANSPOSE:
        ink = ink.transpose().copy()
    scores = net.scores(ink)
    decision = decider.update(scores, finder.status == preprocess.FOUND)
    read = labels[decision] if decision >= 0 else ""
    cost.done("network")
    if view:
        view.show(ink, read, decider.confidence, finder.status, cost.fps)
    cost.done("screen")
    link.say(cost.line(read, decider.confidence, preprocess.STATUS_KEYS[finder.status], scores, ink))


camera = view = None
try:
    camera = open_camera(picture, SETTINGS, complain, lambda: heap.read_in("network"))
    if lcd:
        lcd.camera(picture, TRANSPOSE)  # something to look at, while the rest is read in
    heap.read_in("preprocess", "screen", "modelfile", "stages", "decide")
    from picodigits_board import decide, modelfile, network, preprocess, screen, stages

    with open(SETTINGS["MODEL"], "rb") as file:
        model = modelfile.Model(file)
        labels = model.labels
        finder = preprocess.make(model.preprocess_id, model.ink_height, model.ink_width)
        decider = decide.Decider(model.octave, model.min_confidence, model.rejects)
        net = network.Network(model)
    if lcd:
        view = screen.Screen(lcd, picture, labels, model.ink_height, model.ink_width, TRANSPOSE)
    del model, modelfile
    heap.forget("modelfile")
    cost = stages.Stages(bool(SETTINGS["TRACE"]))
    while True:
        try:
            while True:
                read_frame()
                cost.next()
                camera.capture()
                cost.done("capture")
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
    display.close_display(lcd)
