"""The self-test: a program that runs on the board, sent to its raw REPL. It needs nothing on the drive.

    about()                      CircuitPython, heap, drive
    camera(wires, settle_s)      pull-ups, I2C, chip id, which lines float, edges, test pattern, a picture
    card(wires)                  a test card on the screen, until the board starts anew
    pins()                       pins.py as it is on the drive

`wires` is a dict: the names of pins.py -> names of pins. Each function prints lines that start with MARK, figures and
no judgement: `doctor` on the PC makes findings of them. A step that can't be done says so and leaves out the steps
that build on it. Hardware only: nothing on the PC imports this file, `doctor` sends its text.

Registers and their meaning: OV7670/OV7171 datasheet 1.4 (OmniVision, 2006-08-21), with its pages; ST7735R datasheet
V0.2 (Sitronix, 2009-08-05). Tried on CircuitPython 10.0.0, emulated.
"""

import binascii
import gc
import os
import sys
import time
from array import array

import board
import busio
import digitalio
import microcontroller
import pwmio
import rp2pio

MARK = "selftest "
ADDRESS = 0x21  # p. 10: 42h to write, 43h to read
VSYNC_S = 0.15  # three frames of the slowest clock; then there is none
WINDOW_S = 0.1  # the same for HREF and PCLK
FRAME_S = 0.2
WORDS = 2400  # a picture of 80x60 pixels, 16 bits each

# Register, value: 80x60 pixels of RGB565 as the application takes them. COM7 RGB, RGB444 off, COM15 full range RGB565,
# COM10 VSYNC negative (p. 12 to 14, 19); scaling by 8 and its clock; the window (p. 12, 14, 24).
REGISTERS = (
    b"\x12\x04\x8c\x00\x40\xd0\x15\x02"
    b"\x0c\x04\x3e\x1b\x72\x33\x73\xf3\x70\x20\x71\x20\xa2\x02"
    b"\x17\x1a\x18\x08\x32\x12\x19\x03\x1a\x7b\x03\x00"
)
XSC = 0x70  # bit 7 with YSC's bit 7 clear: the test pattern "shifting 1" (p. 24)


def say(what, text):
    """One line for the PC."""
    print(MARK + what + " " + text)


def about():
    """The board, its firmware, heap and drive."""
    gc.collect()
    drive = os.statvfs("/")
    say(
        "board",
        "id=%s version=%s heap=%d drive_bytes=%d drive_free=%d"
        % (
            board.board_id,
            ".".join([str(part) for part in sys.implementation.version[:3]]),
            gc.mem_free(),
            drive[0] * drive[2],
            drive[0] * drive[3],
        ),
    )


def pins():
    """The wiring table on the drive, if there is one: what the application itself goes by."""
    try:
        with open("/lib/picodigits_board/pins.py", "rb") as file:
            for line in file:
                say("pins", binascii.b2a_base64(line, newline=False).decode())
    except OSError:
        pass


def pin(name):
    """The pin of this name."""
    return getattr(board, name)


def levels(name):
    """Lowest and highest level of a line with the pin's pull-up, then with its pull-down: "0101" moves, "1100" floats,
    "0000" is held low, "1111" high."""
    line = digitalio.DigitalInOut(pin(name))
    found = ""
    for pull in (digitalio.Pull.UP, digitalio.Pull.DOWN):
        line.switch_to_input(pull)
        time.sleep(0.0005)
        seen = [line.value for _ in range(40)]
        found += "%d%d" % (min(seen), max(seen))
    line.deinit()
    return found


def edges(name, count, limit_s, each=1):
    """Rises of a line, `each` times `count` at most, within `limit_s`; and the ms that they took.

    A state machine pushes a word of zeros every `each` rises (1 or 32); DMA puts them over what stands in the buffer.
    """
    words = array("L", [1] * count)
    number = int(name[2:])
    counter = rp2pio.StateMachine(
        array("H", (0x2000 | number, 0x2080 | number, 0x4060 | (1 if each == 32 else 0))),
        frequency=0,
        first_in_pin=pin(name),
        auto_push=True,
        push_threshold=32,
    )
    begun = time.monotonic_ns()
    counter.background_read(words)
    while counter.reading and time.monotonic_ns() - begun < limit_s * 1e9:
        pass
    took = (time.monotonic_ns() - begun) / 1e6
    if counter.reading:
        counter.stop_background_read()
    counter.deinit()
    return each * sum([word == 0 for word in words]), took


def capture(wires):
    """The next picture: 9600 bytes, or None where none comes. As picodigits_board/camera.py takes it in."""
    picture = array("L", bytes(4 * WORDS))
    vsync, href, pclk = [int(wires["CAMERA_" + name][2:]) for name in ("VSYNC", "HREF", "PCLK")]
    reader = rp2pio.StateMachine(
        array("H", (0x2000 | vsync, 0x2080 | vsync, 0x2080 | href, 0x2080 | pclk, 0x4008, 0x2000 | pclk)),
        frequency=0,
        first_in_pin=pin(wires["CAMERA_DATA"][0]),
        in_pin_count=8,
        first_out_pin=pin(wires["CAMERA_HREF"]),
        initial_out_pin_direction=0,
        first_set_pin=pin(wires["CAMERA_VSYNC"]),
        initial_set_pin_direction=0,
        jmp_pin=pin(wires["CAMERA_PCLK"]),
        auto_push=True,
        push_threshold=32,
        in_shift_right=True,
        wrap_target=2,
        wrap=5,
    )
    begun = time.monotonic()
    reader.background_read(picture)
    while reader.reading and time.monotonic() - begun < FRAME_S:
        pass
    whole = not reader.reading
    if not whole:
        reader.stop_background_read()
    reader.deinit()
    return memoryview(picture) if whole else None


def register(bus, number, value=None):
    """Read a register of the camera, or write it. Raises OSError where nobody answers."""
    if value is not None:
        bus.writeto(ADDRESS, bytes((number, value)))
        return value
    answer = bytearray(1)
    bus.writeto(ADDRESS, bytes((number,)))
    bus.readfrom_into(ADDRESS, answer)
    return answer[0]


def camera(wires, settle_s):
    """Everything that the board can find out about the camera. settle_s: the time that its exposure gets."""
    microcontroller.watchdog.mode = None
    for name in ("SDA", "SCL"):
        say("levels", "%s=%s" % (name, levels(wires["CAMERA_" + name])))
    taken = []
    try:
        try:
            bus = busio.I2C(pin(wires["CAMERA_SCL"]), pin(wires["CAMERA_SDA"]))
        except RuntimeError as error:
            say("no_i2c", str(error))
            return
        taken.append(bus)
        bus.try_lock()
        clock = pwmio.PWMOut(pin(wires["CAMERA_MCLK"]), frequency=16000000, duty_cycle=32768)
        taken.append(clock)
        say("clock", "mclk_hz=%d" % clock.frequency)
        for name, level in (("SHUTDOWN", False), ("RESET", False)):
            line = digitalio.DigitalInOut(pin(wires["CAMERA_" + name]))
            taken.append(line)
            line.switch_to_output(level)
        time.sleep(0.002)
        line.value = True
        time.sleep(0.02)
        say("i2c", "addresses=%s" % ",".join(["0x%02x" % address for address in bus.scan()]))
        try:
            say("chip", "pid=0x%02x ver=0x%02x" % (register(bus, 0x0A), register(bus, 0x0B)))
            for at in range(0, len(REGISTERS), 2):
                register(bus, REGISTERS[at], REGISTERS[at + 1])
            answers = True
        except OSError:
            answers = False
        outputs = ["PCLK", "HREF", "VSYNC"]
        for name in outputs:
            say("levels", "%s=%s" % (name, levels(wires["CAMERA_" + name])))
        for bit, name in enumerate(wires["CAMERA_DATA"]):
            say("levels", "D%d=%s" % (bit, levels(name)))
        if not answers:
            return
        counts = []
        for name, count, limit_s, each in (
            ("VSYNC", 3, VSYNC_S, 1),
            ("HREF", 60, WINDOW_S, 1),
            ("PCLK", 64, WINDOW_S, 32),
        ):
            counts.append(edges(wires["CAMERA_" + name], count, limit_s, each)[0])
            say("edges", "%s=%d" % (name, counts[-1]))
        if 0 in counts:
            return
        register(bus, XSC, 0xA0)
        time.sleep(0.05 if settle_s > 0.05 else settle_s)
        picture = capture(wires)
        register(bus, XSC, 0x20)
        if picture is None:
            say("no_picture", "pattern")
            return
        raw = bytes(picture)
        picture = None
        for row in (10, 30, 50):
            say("pattern", binascii.hexlify(raw[160 * row : 160 * row + 160]).decode())
        raw = None
        gc.collect()
        time.sleep(settle_s)
        picture = capture(wires)
        if picture is None:
            say("no_picture", "picture")
            return
        for at in range(0, WORDS, 40):
            say("picture", binascii.b2a_base64(picture[at : at + 40], newline=False).decode())
    finally:
        while taken:
            taken.pop().deinit()


shown = []  # what holds the screen's pins


def card(wires):
    """Three stripes with their names, and a white frame: as the module's panel is mounted for the application."""
    import displayio
    import terminalio
    from fourwire import FourWire

    displayio.release_displays()
    spi = busio.SPI(pin(wires["SCREEN_SCK"]), MOSI=pin(wires["SCREEN_MOSI"]))
    wire = FourWire(
        spi,
        command=pin(wires["SCREEN_DC"]),
        chip_select=pin(wires["SCREEN_CS"]),
        reset=pin(wires["SCREEN_RESET"]),
    )
    shown.append(wire)
    if wires["SCREEN_LIGHT"]:
        light = digitalio.DigitalInOut(pin(wires["SCREEN_LIGHT"]))
        light.switch_to_output(True)
        shown.append(light)
    time.sleep(0.12)
    wire.send(0x11, b"")  # SLPOUT
    time.sleep(0.12)
    wire.send(0x3A, b"\x05")  # COLMOD: 16 bits a pixel
    wire.send(0x36, b"\xc0")  # MADCTL

    def fill(x, y, width, height, pixels):
        wire.send(0x2A, bytes((0, x, 0, x + width - 1)))
        wire.send(0x2B, bytes((0, y, 0, y + height - 1)))
        wire.send(0x2C, pixels)

    font = terminalio.FONT
    for row, (word, colour) in enumerate(
        (("RED", b"\xf8\x00"), ("GREEN", b"\x07\xe0"), ("BLUE", b"\x00\x1f"), ("picodigits", b"\x00\x00"))
    ):
        fill(0, 40 * row, 128, 40, colour * 5120)
        left = 64 - 3 * len(word)
        for letter in word:
            glyph = font.get_glyph(ord(letter))
            dots = bytearray(6 * 12 * 2)
            across = glyph.tile_index * 6
            for dot in range(72):
                lit = font.bitmap[across + dot % 6, dot // 6]
                dots[2 * dot : 2 * dot + 2] = b"\xff\xff" if lit else colour
            fill(left, 40 * row + 14, 6, 12, dots)
            left += 6
    for x, y, width, height in ((0, 0, 128, 1), (0, 159, 128, 1), (0, 0, 1, 160), (127, 0, 1, 160)):
        fill(x, y, width, height, b"\xff" * (2 * width * height))
    wire.send(0x29, b"")  # DISPON
    say("card", "drawn=1")
