"""The virtual bench: the real CircuitPython on an emulated Pico, with a virtual camera and a virtual LCD.

firmware      the CircuitPython UF2: find, download, check
drive         the CIRCUITPY volume: files -> FAT12 image, and back
ov7670        the virtual camera           (knows nothing of the emulator)
st7735r       the virtual LCD              (knows nothing of the emulator)
board         the emulated Pico with both wired to its pins: run it, talk to it, copy it while it runs
serial_port   its USB serial port as a pty or a TCP socket
run           pictures -> what the LCD shows, what the board says, and virtual milliseconds
report        the same for every shipped model and the article's program: CSV and plot
faults        what can go wrong at a bench of solder and wires, on purpose
parity        a program on the board, fed with frames past the camera; its results back
"""
