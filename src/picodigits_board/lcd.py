"""The ST7735R on its pins, and what it shows first. The board forgets this file then; display.py draws."""

from __future__ import annotations

import time

from picodigits_board.display import BLUE, WHITE, WIDTH, Display, opened


def welcome(display: Display) -> None:
    """Draw the picture while the program starts."""
    display.clear()
    display.text(4, 84, "picodigits", WHITE, scale=2)
    display.fill(4, 112, WIDTH - 8, 2, BLUE)
    display.text(4, 120, "starting", WHITE)
    display.light_up()


def open_display(backlight: int = 100) -> Display:
    """The screen on the pins of `pins.py`, with the picture at start on it.

    backlight  percent, for a wiring that has SCREEN_LIGHT
    """
    import board
    import busio
    import displayio
    import terminalio
    from fourwire import FourWire

    from picodigits_board import pins

    displayio.release_displays()
    spi = busio.SPI(clock=getattr(board, pins.SCREEN_SCK), MOSI=getattr(board, pins.SCREEN_MOSI))
    opened.append(spi)
    wire = FourWire(  # resets the screen
        spi,
        command=getattr(board, pins.SCREEN_DC),
        chip_select=getattr(board, pins.SCREEN_CS),
        reset=getattr(board, pins.SCREEN_RESET),
    )
    if pins.SCREEN_LIGHT:
        from pwmio import PWMOut

        light = PWMOut(getattr(board, pins.SCREEN_LIGHT), frequency=1000, duty_cycle=65535 * backlight // 100)
        opened.append(light)
    time.sleep(0.12)  # after a reset while awake, before SLPOUT
    display = Display(wire, terminalio.FONT.bitmap)
    welcome(display)
    return display
