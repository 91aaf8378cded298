"""The wiring table: which Pico pin each wire goes to. The article's wiring; change it here and nowhere else.

Names are those of CircuitPython's `board` module. The camera's eight data pins must follow each other in order, since
one PIO instruction reads them all. Both I2C wires need 4.7 kOhm pull-ups to 3.3 V.
"""

from __future__ import annotations

# OV7670 camera; its 3V3 to 3V3(OUT), GND to GND
CAMERA_DATA = ("GP0", "GP1", "GP2", "GP3", "GP4", "GP5", "GP6", "GP7")  # D0..D7
CAMERA_PCLK = "GP8"  # pixel clock, from the camera
CAMERA_MCLK = "GP9"  # master clock (XCLK), to the camera
CAMERA_HREF = "GP12"
CAMERA_VSYNC = "GP13"
CAMERA_RESET = "GP14"  # RET, RST
CAMERA_SHUTDOWN = "GP15"  # PWDN
CAMERA_SDA = "GP20"  # SIOD
CAMERA_SCL = "GP21"  # SIOC

# ST7735R screen; VCC to VBUS (5 V), GND to GND, LED (backlight) to 3V3(OUT)
SCREEN_SCK = "GP10"  # SCK, SCL
SCREEN_MOSI = "GP11"  # SDA, MOSI
SCREEN_DC = "GP16"  # A0, RS, DC
SCREEN_RESET = "GP17"
SCREEN_CS = "GP18"
SCREEN_LIGHT = None  # or the pin that drives the backlight through a transistor: then it goes dark at exit
