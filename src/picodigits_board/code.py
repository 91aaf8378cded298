"""picodigits on the board: camera -> frame -> ink -> scores -> decision -> screen, and a line a frame over USB.

What can be set in settings.toml stands in picodigits_board/settings.py, the wiring in picodigits_board/pins.py.
"""

from __future__ import annotations

import gc
import time

from picodigits_board import decide, modelfile, network, preprocess, screen, stages
from picodigits_board.camera import Camera, CameraError
from picodigits_board.settings import SETTINGS

TRANSPOSE = bool(SETTINGS["TRANSPOSE"])


def complain(display, error):
    """Say over USB and on the screen what is wrong and what to do."""
    text = str(error)
    if isinstance(error, MemoryError):
        text = "out of memory: use a smaller model"
    elif isinstance(error, OSError):
        text = "%s: can't be read. Copy a model file to the drive" % SETTINGS["MODEL"]
    gc.collect()
    print("picodigits: error=" + text)
    if display:
        screen.show_message(display, "Not ready", text)


def open_camera(display):
    """The camera, as soon as it answers."""
    while True:
        try:
            return Camera(bool(SETTINGS["FLIP_X"]), bool(SETTINGS["FLIP_Y"]))
        except CameraError as error:
            complain(display, error)
            time.sleep(2)


def read_for_ever(camera, model, display):
    """One frame after the other, from the camera to the screen."""
    finder = preprocess.make(model.preprocess_id, model.ink_height, model.ink_width)
    net = network.Network(model)
    decider = decide.Decider(model.octave, model.min_confidence)
    view = None
    if display:
        view = screen.Screen(display, camera.picture, model.labels, model.ink_height, model.ink_width, TRANSPOSE)
    cost = stages.Stages(bool(SETTINGS["TRACE"]))
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
        cost.done()
        if view:
            view.show(ink, decision, decider.confidence, finder.status, 1000 / cost.loop_ms if number else 0)
        cost.done()
        read = model.labels[decision].replace(" ", "_") if decision >= 0 else "none"
        print("picodigits: frame=%d read=%s confidence=%d" % (number, read, decider.confidence), end=" ")
        print("status=%s" % preprocess.STATUS_KEYS[finder.status], end=" ")
        if SETTINGS["TRACE"]:
            print("scores=%s ink=%s" % (",".join([str(s) for s in scores]), ink.tobytes().hex()), end=" ")
        print(cost.text())
        number += 1


display = camera = None
try:
    if SETTINGS["DISPLAY"] != "none":
        display = screen.open_display()
    model = modelfile.load(SETTINGS["MODEL"])
    while True:
        camera = open_camera(display)
        try:
            read_for_ever(camera, model, display)
        except CameraError as error:
            complain(display, error)
        camera.deinit()
        camera = None
except (MemoryError, OSError, ValueError) as error:
    if camera:
        camera.deinit()  # and its watchdog, or the board would restart for ever
        camera = None
    complain(display, error)
    while True:
        time.sleep(1)  # until the drive changes: then CircuitPython starts this file again
finally:
    if camera:
        camera.deinit()
    screen.close_display(display)
