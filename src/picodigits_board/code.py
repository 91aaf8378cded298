"""picodigits on the board: camera -> frame -> ink -> scores -> decision -> screen, and a line a frame over USB.

What can be set in settings.toml stands in picodigits_board/settings.py, the wiring in picodigits_board/pins.py.
"""

from __future__ import annotations

import gc
import time
from array import array

from picodigits_board import heap

piece = heap.take_in_one_piece()
from picodigits_board import settings  # noqa: E402

SETTINGS = settings.SETTINGS
LARGE = SETTINGS["FRAME_SIZE"] == "160x120"
picture = array("L", bytes(38400 if LARGE else 9600))  # RGB565_SWAPPED; of what stays, the largest first

from picodigits_board import capture, display, link  # noqa: E402

lcd = display.open_display(SETTINGS["BACKLIGHT"]) if SETTINGS["DISPLAY"] != "none" else None


def complain(error):
    """Say over USB and on the screen what is wrong and what to do."""
    text = link.usb.explain(error)
    if lcd:
        lcd.message("Not ready", text)


def read_frame():
    """What the camera has captured, to the screen and over USB. Nothing of it stays, so that large blocks stay free. A
    frame that the heap has no room for is left out; raises MemoryError for the third in a row."""
    try:
        reader.look(camera.frame)
        gc.collect()  # what that left, some 55 KB, before it is in the network's way
        cost.done("ink")
        if view:
            view.show_picture(reader.status, reader.box, reader.boxes)
        cost.done("screen")
        cost.send_picture(camera.frame)
        reader.read(camera.go_on())  # the next picture comes in while this one is read
        cost.done("network")
        if view:
            view.show(reader.shown, reader.text, reader.confidence, reader.status, cost.fps)
        cost.done("screen")
        status = preprocess.STATUS_KEYS[reader.status]
        cost.say(reader.text, reader.confidence, status, reader.box, reader.scores, reader.ink)
    except MemoryError:
        if cost.left_out():
            raise
    reader.forget()


camera = view = None
try:
    settings.check()
    camera = capture.open_camera(picture, SETTINGS, complain, lambda: heap.read_in("network"))
    if lcd:
        lcd.camera(picture, SETTINGS["TRANSPOSE"])  # something to look at, while the rest is read in
    heap.read_in("preprocess", "screen", "stages", "reading", "modelfile", "layers")
    from picodigits_board import preprocess, reading, screen, stages

    reader = reading.open_reader(SETTINGS, 2 if LARGE else 1, lcd.memory if lcd else None)
    del settings
    heap.forget("modelfile", "layers", "settings")
    if lcd:
        view = screen.Screen(lcd, picture, reader.labels, reader.shown_size, SETTINGS["TRANSPOSE"], SETTINGS["DIGITS"])
    cost = stages.Stages(link.usb)
    while True:
        try:
            read_frame()
            gc.collect()  # here: deeper down the stack still points to what has gone, and some of it would be kept
            while not cost.next():  # until the PC has changed a setting of the camera
                camera.capture()
                cost.done("capture")
                read_frame()
                gc.collect()
        except capture.CameraError as error:
            complain(error)
        camera.deinit()
        camera = capture.open_camera(picture, SETTINGS, complain)
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
