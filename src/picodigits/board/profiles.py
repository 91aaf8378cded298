"""The boards that we know: what each pin of the header is, what the chip can do with it, and how the board is named.

Another board is another `Profile` in PROFILES; docs/wiring.md tells how.

Sources: RP2040 datasheet, table 2 (GPIO functions), and the same table for bank 0 in the RP2350 datasheet: SPI, I2C and
PWM of GPIO0 to GPIO29 are the same on both chips. The header is that of the four boards' datasheets, the same on each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from picodigits.errors import BoardError, did_you_mean

RP2040_FAMILY = 0xE48BFF56  # UF2 families: https://github.com/microsoft/uf2, utils/uf2families.json
RP2350_ARM_FAMILY = 0xE48BFF59

GROUND = "GND"
SUPPLY_3V3 = "3V3(OUT)"
SUPPLY_5V = "VBUS"

_PICO_HEADER = (
    "GP0", "GP1", GROUND, "GP2", "GP3", "GP4", "GP5", GROUND, "GP6", "GP7",
    "GP8", "GP9", GROUND, "GP10", "GP11", "GP12", "GP13", GROUND, "GP14", "GP15",
    "GP16", "GP17", GROUND, "GP18", "GP19", "GP20", "GP21", GROUND, "GP22", "RUN",
    "GP26", "GP27", "AGND", "GP28", "ADC_VREF", SUPPLY_3V3, "3V3_EN", GROUND, "VSYS", SUPPLY_5V,
)  # fmt: skip
_ON_PICO = {"GP23": "the voltage regulator's mode", "GP24": "sensing USB", "GP25": "the LED", "GP29": "measuring VSYS"}
_ON_PICO_W = dict.fromkeys(("GP23", "GP24", "GP25", "GP29"), "the wireless chip")
_GPIO = re.compile(r"GP(\d+)")


@dataclass(frozen=True)
class Profile:
    """One board.

    name         as in --profile
    title        as CircuitPython calls the board, in boot_out.txt and in its UF2
    board_id     as circuitpython.org and boot_out.txt call it
    chip         "rp2040" or "rp2350"
    uf2_family   of the blocks of its UF2
    bootsel_id   Board-ID in INFO_UF2.TXT, while the board is in BOOTSEL mode; also the drive's name
    header       what pin 1, 2, ... of the header is called; pin 1 is beside USB, counted down and up again
    inside       GPIO that the board itself uses -> for what
    without_pwm  GPIO that can't make a clock; none on these two chips, where function F4 of each is PWM
    """

    name: str
    title: str
    board_id: str
    chip: str
    uf2_family: int
    bootsel_id: str
    header: tuple[str, ...] = _PICO_HEADER
    inside: dict[str, str] = field(default_factory=dict)
    without_pwm: frozenset[str] = frozenset()

    def pin(self, name: str) -> int:
        """The first pin of the header with this name, counted from 1. Raises KeyError."""
        if name not in self.header:
            raise KeyError(name)
        return self.header.index(name) + 1


def spi(pin: str) -> tuple[int, str]:
    """The SPI and the role in it, RX, CS, SCK or TX, that a GPIO has as function F1: "GP10" -> (1, "SCK")."""
    number = gpio(pin)
    return number // 8 % 2, ("RX", "CS", "SCK", "TX")[number % 4]


def i2c(pin: str) -> tuple[int, str]:
    """The I2C and the role in it that a GPIO has as function F3: "GP20" -> (0, "SDA")."""
    number = gpio(pin)
    return number // 2 % 2, ("SDA", "SCL")[number % 2]


def gpio(pin: str) -> int:
    """The number of a GPIO: "GP9" -> 9. Raises ValueError for what is none that both chips have."""
    match = _GPIO.fullmatch(pin)
    if match is None or int(match[1]) > 29:
        raise ValueError(f"{pin} is no GPIO")
    return int(match[1])


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "pico", "Raspberry Pi Pico", "raspberry_pi_pico", "rp2040", RP2040_FAMILY, "RPI-RP2", inside=_ON_PICO
        ),
        Profile(
            "pico-w", "Raspberry Pi Pico W", "raspberry_pi_pico_w", "rp2040", RP2040_FAMILY, "RPI-RP2",
            inside=_ON_PICO_W,
        ),
        Profile(
            "pico2", "Raspberry Pi Pico 2", "raspberry_pi_pico2", "rp2350", RP2350_ARM_FAMILY, "RP2350",
            inside=_ON_PICO,
        ),
        Profile(
            "pico2-w", "Raspberry Pi Pico 2 W", "raspberry_pi_pico2_w", "rp2350", RP2350_ARM_FAMILY, "RP2350",
            inside=_ON_PICO_W,
        ),
    )
}  # fmt: skip
DEFAULT = "pico"


def find(name: str) -> Profile:
    """The profile of this name. Raises BoardError with the names there are."""
    if name not in PROFILES:
        raise BoardError(
            f"board: got the profile {name}, need one of {', '.join(PROFILES)}.{did_you_mean(name, PROFILES)} "
            "docs/wiring.md tells how to add one."
        )
    return PROFILES[name]
