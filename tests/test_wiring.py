"""The wiring: pins checked against the board, one table, and a picture that a beginner can wire from."""

from __future__ import annotations

import html.parser
import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from picodigits.board import diagram, profiles, wiring
from picodigits.board.diagram import Box, Disc, Label, Line
from picodigits.board.profiles import PROFILES
from picodigits.board.wiring import COLOURS, Pins, Wire
from picodigits.errors import BoardError, PicodigitsError, WiringError
from picodigits_board import pins as shipped

ROOT = Path(__file__).parent.parent
PICO = PROFILES["pico"]
PINS = wiring.read_pins()
# Another wiring that works: everything moved, the backlight on a pin of its own.
OTHER = Pins(
    camera_data=tuple(f"GP{number}" for number in range(6, 14)), camera_pclk="GP14", camera_mclk="GP22",
    camera_href="GP26", camera_vsync="GP27", camera_reset="GP28", camera_shutdown="GP15", camera_sda="GP0",
    camera_scl="GP1", screen_sck="GP18", screen_mosi="GP19", screen_dc="GP20", screen_reset="GP21", screen_cs="GP17",
    screen_light="GP16",
)  # fmt: skip


@pytest.fixture(scope="module", params=["shipped", "other"])
def drawn(request: pytest.FixtureRequest) -> tuple[diagram.Drawing, list[Wire]]:
    pins = {"shipped": PINS, "other": OTHER}[request.param]
    made = wiring.wires(pins, PICO)
    return diagram.draw(made, PICO), made


# --- the boards -------------------------------------------------------------------------------------------


def test_the_header_is_that_of_the_datasheets() -> None:
    places = {
        "GP0": 1, "GP1": 2, "GP2": 4, "GP5": 7, "GP6": 9, "GP9": 12, "GP10": 14, "GP13": 17, "GP15": 20, "GP16": 21,
        "GP18": 24, "GP21": 27, "GP22": 29, "RUN": 30, "GP26": 31, "AGND": 33, "GP28": 34, "3V3(OUT)": 36, "VSYS": 39,
        "VBUS": 40,
    }  # fmt: skip
    for profile in PROFILES.values():
        assert {name: profile.pin(name) for name in places} == places
        assert len(profile.header) == 40
        assert [n for n, name in enumerate(profile.header, 1) if name == "GND"] == [3, 8, 13, 18, 23, 28, 38]
        named = [name for name in profile.header if name != "GND"]
        assert len(set(named)) == len(named)
        assert set(profile.inside).isdisjoint(profile.header)
        assert {f"GP{n}" for n in range(30)} == {name for name in (*named, *profile.inside) if name.startswith("GP")}


def test_spi_and_i2c_are_where_the_datasheet_has_them() -> None:
    """RP2040 datasheet, table 2: functions F1 and F3, row by row."""
    roles = ["RX", "CS", "SCK", "TX"] * 2
    for first, instance in ((0, 0), (8, 1), (16, 0)):
        assert [profiles.spi(f"GP{first + n}") for n in range(8)] == [(instance, role) for role in roles]
    assert [profiles.spi(f"GP{n}") for n in (26, 27, 28)] == [(1, "SCK"), (1, "TX"), (1, "RX")]
    assert [profiles.i2c(f"GP{n}") for n in (0, 1, 2, 3, 4, 20, 21, 26, 27)] == [
        (0, "SDA"), (0, "SCL"), (1, "SDA"), (1, "SCL"), (0, "SDA"), (0, "SDA"), (0, "SCL"), (1, "SDA"), (1, "SCL"),
    ]  # fmt: skip


def test_a_board_that_is_not_known_is_answered_with_those_that_are() -> None:
    assert profiles.find("pico2-w").title == "Raspberry Pi Pico 2 W"
    with pytest.raises(
        BoardError, match=r"got the profile pico2w, need one of pico, pico-w, .* Did you mean pico2-w\?"
    ):
        profiles.find("pico2w")


# --- the pins ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
@pytest.mark.parametrize("pins", [PINS, OTHER], ids=["shipped", "other"])
def test_pins_that_fit_have_no_conflicts(pins: Pins, profile: profiles.Profile) -> None:
    assert wiring.conflicts(pins, profile) == []
    wiring.need_sound(pins, profile)


@pytest.mark.parametrize(
    ("change", "conflict"),
    [
        ({"camera_pclk": "GP9"}, "CAMERA_MCLK: GP9 is already taken by CAMERA_PCLK"),
        ({"camera_pclk": "GP3"}, "CAMERA_PCLK: GP3 is already taken by CAMERA_DATA, D3"),
        ({"camera_reset": "GP25"}, "CAMERA_RESET: GP25 is taken by the board itself for the LED"),
        ({"screen_light": "GP29"}, "SCREEN_LIGHT: GP29 is taken by the board itself for measuring VSYS"),
        ({"camera_reset": "GP40"}, "CAMERA_RESET: GP40 is no pin of the header"),
        ({"camera_reset": "D5"}, "CAMERA_RESET: D5 is no pin of the header"),
        ({"camera_reset": "VSYS"}, "CAMERA_RESET: VSYS is no pin of the header"),
        ({"camera_data": tuple(f"GP{n}" for n in (0, 1, 2, 3, 4, 5, 7, 6))}, "do not follow each other"),
        ({"camera_data": tuple(f"GP{n}" for n in (7, 6, 5, 4, 3, 2, 1, 0))}, "do not follow each other"),
        ({"camera_data": PINS.camera_data[:7]}, "CAMERA_DATA: 7 pins, where the camera has D0 to D7"),
        ({"camera_data": ()}, "CAMERA_DATA: 0 pins, where the camera has D0 to D7"),
        ({"camera_sda": "GP21", "camera_scl": "GP20"}, "CAMERA_SDA: GP21 is SCL of I2C0, not SDA"),
        ({"camera_sda": "GP26"}, "CAMERA_SDA, CAMERA_SCL: GP26 and GP21 belong to two I2Cs"),
        ({"screen_sck": "GP11", "screen_mosi": "GP10"}, "SCREEN_MOSI: GP10 is SCK of SPI1, not TX"),
        ({"screen_mosi": "GP19"}, "SCREEN_SCK, SCREEN_MOSI: GP10 and GP19 belong to two SPIs"),
    ],
)
def test_each_conflict_is_named(change: dict[str, object], conflict: str) -> None:
    pins = replace(PINS, **change)  # type: ignore[arg-type]
    assert any(conflict in found for found in wiring.conflicts(pins, PICO)), wiring.conflicts(pins, PICO)
    with pytest.raises(WiringError, match=re.escape(conflict)):
        wiring.need_sound(pins, PICO)


def test_all_conflicts_are_told_at_once() -> None:
    pins = replace(PINS, camera_pclk="GP9", screen_cs="GP17", camera_reset="GP24")
    with pytest.raises(WiringError) as caught:
        wiring.need_sound(pins, PICO, "mine.py")
    text = str(caught.value)
    assert text.startswith("mine.py on Raspberry Pi Pico: got ")
    for part in ("CAMERA_MCLK: GP9", "SCREEN_CS: GP17", "CAMERA_RESET: GP24", "sensing USB"):
        assert part in text


def test_what_the_wireless_chip_takes_is_told_on_the_boards_that_have_one() -> None:
    pins = replace(PINS, screen_light="GP25")
    assert wiring.conflicts(pins, PROFILES["pico2-w"]) == [
        "SCREEN_LIGHT: GP25 is taken by the board itself for the wireless chip"
    ]


def test_a_board_whose_pin_makes_no_clock_is_told_for_mclk() -> None:
    board = replace(PICO, without_pwm=frozenset({"GP9"}))
    assert wiring.conflicts(PINS, board) == ["CAMERA_MCLK: GP9 has no PWM, which makes the camera's clock"]
    assert wiring.conflicts(OTHER, board) == []


def test_a_board_that_lacks_pins_is_told_each_of_them() -> None:
    """The example of docs/wiring.md, as it stands there."""
    text = (ROOT / "docs" / "wiring.md").read_text("utf-8")
    example = eval(text.split("```python\n")[1].split("```")[0], vars(profiles).copy())
    assert isinstance(example, profiles.Profile)
    found = wiring.conflicts(PINS, example)
    assert found[:2] == ["header: no 3V3(OUT), which the wires need", "header: no VBUS, which the wires need"]
    assert "CAMERA_DATA, D2: GP2 is no pin of the header" in found
    assert "SCREEN_CS: GP18 is taken by the board itself for the LED" in found


def test_a_board_with_ground_on_one_side_is_wired_to_it() -> None:
    header = tuple("x" if name == "GND" and n > 19 else name for n, name in enumerate(PICO.header))
    made = wiring.wires(PINS, replace(PICO, header=header))
    assert [wire.number for wire in made if wire.pin == "GND"] == [18, 18]


# --- pins.py ----------------------------------------------------------------------------------------------


def test_the_pins_are_those_that_the_board_imports() -> None:
    for name in Pins.__dataclass_fields__:
        assert getattr(PINS, name) == getattr(shipped, name.upper()), name
    names = {name for name in vars(shipped) if re.fullmatch(r"(CAMERA|SCREEN)_[A-Z]+", name)}
    assert {name.lower() for name in names} == set(Pins.__dataclass_fields__)


def test_a_pins_file_is_read_and_never_run(tmp_path: Path) -> None:
    source = Path(shipped.__file__).read_text("utf-8").replace('CAMERA_PCLK = "GP8"', 'CAMERA_PCLK = "GP22"')
    path = tmp_path / "mine.py"
    path.write_text(f"import os\nos.mkdir({str(tmp_path / 'run')!r})\nOTHER = os.name\n{source}", "utf-8")
    assert wiring.read_pins(path) == replace(PINS, camera_pclk="GP22")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('CAMERA_PCLK = "GP8"', "", 'CAMERA_PCLK: got nothing, need the name of a pin, such as "GP9"'),
        ('CAMERA_PCLK = "GP8"', "CAMERA_PCLK = 8", "CAMERA_PCLK: got 8, need the name of a pin"),
        ('CAMERA_PCLK = "GP8"', "CAMERA_PCLK = None", "CAMERA_PCLK: got None, need the name of a pin"),
        ("SCREEN_LIGHT = None", "", "SCREEN_LIGHT: got nothing"),
        ('CAMERA_DATA = ("GP0", ', "CAMERA_DATA = (0, ", "need eight names of pins"),
        ('CAMERA_PCLK = "GP8"', "CAMERA_PCLK = 'GP8", "got text that is no Python in line"),
    ],
)
def test_a_pins_file_that_lacks_something_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    source = Path(shipped.__file__).read_text("utf-8")
    assert old in source
    path = tmp_path / "mine.py"
    path.write_text(source.replace(old, new), "utf-8")
    with pytest.raises(WiringError, match=re.escape(message)) as caught:
        wiring.read_pins(path)
    assert str(caught.value).startswith(str(path))


def test_a_pins_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(WiringError, match=r"none\.py: got No such file"):
        wiring.read_pins(tmp_path / "none.py")
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe")
    with pytest.raises(WiringError, match=r"binary\.py: got .*utf-8"):
        wiring.read_pins(tmp_path / "binary.py")


# --- the wires --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pins", [PINS, OTHER], ids=["shipped", "other"])
def test_every_pin_has_its_wire_and_every_terminal_has_one(pins: Pins) -> None:
    made = wiring.wires(pins, PICO)
    signals = sorted((wire.pin, wire.number) for wire in made if wire.pin.startswith("GP"))
    assert signals == sorted((pin, PICO.header.index(pin) + 1) for _, pin in pins.uses())
    for module in wiring.MODULES:
        terminals = [wire.terminal for wire in made if wire.module == module.name]
        assert sorted(terminals) == sorted(itertools.chain(*module.rows))
    assert {wire.terminal for wire in made if wire.module == "pull-up"} == {"SIOD", "SIOC"}
    for wire in made:
        assert PICO.header[wire.number - 1] == wire.pin
        assert wire.colour in COLOURS
        assert len(wire.if_wrong) > 10


def test_the_camera_never_gets_5_volts() -> None:
    made = wiring.wires(PINS, PICO)
    assert [wire.module for wire in made if wire.pin == "VBUS"] == ["screen"]
    supply = {wire.terminal: wire.pin for wire in made if wire.module == "camera" and wire.terminal in ("3V3", "GND")}
    assert supply == {"3V3": "3V3(OUT)", "GND": "GND"}
    assert {wire.colour for wire in made if wire.pin == "VBUS"} == {"red"}
    assert "red" not in {wire.colour for wire in made if wire.pin != "VBUS"}


def test_the_messages_that_are_promised_are_those_of_the_boards_program() -> None:
    program = (ROOT / "src" / "picodigits_board" / "camera.py").read_text("utf-8")
    told = " ".join(wire.if_wrong for wire in wiring.wires(OTHER, PICO))
    for message in ("no answer on I2C", "no picture: check ", "no pull-ups on ", "it lost power for a moment"):
        assert message in told
        assert message in program
    assert "check GP27 VSYNC and GP22 MCLK" in told
    assert "no pull-ups on GP0, GP1" in told


# --- the picture ------------------------------------------------------------------------------------------


def segments(way: tuple[diagram.Point, ...]) -> list[tuple[diagram.Point, diagram.Point]]:
    return list(itertools.pairwise(way))


def points(way: tuple[diagram.Point, ...]) -> list[diagram.Point]:
    """Every point of the grid that a way passes, ends and corners once."""
    passed = [way[0]]
    for (x0, y0), (x1, y1) in segments(way):
        assert (x0 == x1) != (y0 == y1)
        steps = max(abs(x1 - x0), abs(y1 - y0)) // diagram.GRID
        passed += [(x0 + (x1 - x0) * k // steps, y0 + (y1 - y0) * k // steps) for k in range(1, steps + 1)]
    return passed


def inside(box: Box, way: tuple[diagram.Point, ...]) -> bool:
    return any(
        min(x0, x1) <= box.x + box.width
        and max(x0, x1) >= box.x
        and min(y0, y1) <= box.y + box.height
        and max(y0, y1) >= box.y
        for (x0, y0), (x1, y1) in segments(way)
    )


Drawn = tuple[diagram.Drawing, list[Wire]]


def test_every_wire_goes_from_its_terminal_to_its_pin(drawn: Drawn) -> None:
    drawing, made = drawn
    for wire in made:
        if wire.module == "pull-up":
            continue
        net = wire.pin if wire.pin in ("3V3(OUT)", "VBUS") else f"{wire.module} {wire.terminal}"
        ends = {way[-1] for way in drawing.routes[net]}
        label = next(
            shape for shape in drawing.shapes
            if isinstance(shape, Label) and shape.bold and shape.text == wire.terminal
            and (shape.x < 400 if wire.module == "camera" else shape.x > 1150)
        )  # fmt: skip
        end = min(ends, key=lambda point: abs(point[1] - label.y) * 1000 + abs(point[0] - label.x))
        assert end[1] == label.y, wire
        number = next(
            shape for shape in drawing.shapes
            if isinstance(shape, Label) and shape.text == str(wire.number) and shape.size == 11
        )  # fmt: skip
        start = drawing.routes[net][0][0]
        assert start[1] == number.y, wire
        assert abs(start[0] - number.x) == 16, wire


def test_the_pull_ups_join_sda_and_scl_with_3_3_volts(drawn: Drawn) -> None:
    drawing, _ = drawn
    resistors = [shape for shape in drawing.shapes if isinstance(shape, Label) and shape.text == wiring.PULL_UP]
    assert len(resistors) == 2
    supply = {way[-1] for way in drawing.routes["3V3(OUT)"]}
    for label, terminal in zip(resistors, ("SIOD", "SIOC"), strict=True):
        assert any(x > label.x and y == label.y for x, y in supply)
        assert any(x < label.x and y == label.y for x, y in (way[-1] for way in drawing.routes[f"camera {terminal}"]))


def test_the_wires_of_a_net_hang_together(drawn: Drawn) -> None:
    drawing, _ = drawn
    for net, ways in drawing.routes.items():
        joined = set(points(ways[0]))
        for way in ways[1:]:
            assert way[0] in joined, net
            joined |= set(points(way))


def test_no_wire_passes_over_a_label_or_under_a_part(drawn: Drawn) -> None:
    drawing, _ = drawn
    labels = [shape.box for shape in drawing.shapes if isinstance(shape, Label)]
    assert len(labels) > 100
    ends = {point for ways in drawing.routes.values() for way in ways for point in (way[0], way[-1])}
    camera, *parts = [shape for shape in drawing.shapes if isinstance(shape, Box) and shape.width > 20]
    if camera.x > 100:  # the camera's board, on which its wires begin, is no obstacle
        camera, parts = next(box for box in parts if box.x < 100), [camera, *[b for b in parts if b.x > 100]]
    for net, ways in drawing.routes.items():
        for way in ways:
            for box in labels:
                assert not inside(box, way), (net, box)
            for box in parts:
                for x, y in points(way):
                    if (x, y) not in ends:
                        within = box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height
                        assert not within, (net, box)


def test_wires_cross_straight_and_never_run_along_each_other(drawn: Drawn) -> None:
    drawing, _ = drawn
    taken: dict[diagram.Point, list[tuple[str, str]]] = {}
    for net, ways in drawing.routes.items():
        for way in ways:
            passed = points(way)
            for i, (x, y) in enumerate(passed):
                before, after = passed[max(i - 1, 0)], passed[min(i + 1, len(passed) - 1)]
                kind = "x" if before[1] == after[1] else "y" if before[0] == after[0] else "corner"
                kind = "end" if i in (0, len(passed) - 1) else kind
                taken.setdefault((x, y), []).append((net, kind))
    for place, there in taken.items():
        if len({net for net, _ in there}) > 1:
            assert sorted(kind for _, kind in there) == ["x", "y"], (place, there)


def test_every_label_is_on_the_sheet_and_has_the_room_that_it_takes(drawn: Drawn) -> None:
    drawing, _ = drawn
    labels = [shape for shape in drawing.shapes if isinstance(shape, Label)]
    letters = []  # where they are in the PNG, in units
    for label in labels:
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[label.anchor]
        left, top, right, bottom = diagram.font(label.size, label.bold).getbbox(label.text, anchor=anchor)
        baseline = label.y + 0.36 * label.size
        real = Box(label.x + left, baseline + top, right - left, bottom - top, "none")
        assert label.box.x - 2 <= real.x  # wires keep 4 more away
        assert real.x + real.width <= label.box.x + label.box.width + 2, label
        assert label.box.y - 1 <= real.y
        assert real.y + real.height <= label.box.y + label.box.height + 1
        assert label.box.x >= 0
        assert label.box.x + label.box.width <= diagram.WIDTH
        assert label.size * diagram.MM >= 2, "smaller than 2 mm on A4"
        letters.append((label.text, real))
    for (text, one), (text2, other) in itertools.combinations(letters, 2):
        beside = one.x >= other.x + other.width + 2 or other.x >= one.x + one.width + 2
        assert beside or one.y >= other.y + other.height or other.y >= one.y + one.height, (text, text2)


def test_svg_and_png_show_the_same(drawn: Drawn) -> None:
    drawing, _ = drawn
    svg = ET.fromstring(diagram.to_svg(drawing))
    counts = {kind: sum(isinstance(shape, kind) for shape in drawing.shapes) for kind in (Box, Line, Disc, Label)}
    name = "{http://www.w3.org/2000/svg}"
    found = [len(svg.findall(name + tag)) for tag in ("rect", "polyline", "circle", "text")]
    assert found == [counts[Box] + 1, counts[Line], counts[Disc], counts[Label]]
    image = diagram.to_image(drawing)
    assert image.size == (diagram.WIDTH * diagram.SCALE, diagram.HEIGHT * diagram.SCALE)
    crossed = [place for ways in drawing.routes.values() for way in ways for place in points(way)]
    for polyline in svg.findall(name + "polyline"):
        colour = polyline.get("stroke") or ""
        if colour == "#ffffff":
            continue
        way = tuple(tuple(map(int, pair.split(","))) for pair in (polyline.get("points") or "").split())
        middles = [place for place in points(way)[2:-2] if crossed.count(place) == 1]  # type: ignore[arg-type]
        for x, y in middles[:: max(1, len(middles) // 4)]:
            pixel = image.getpixel((x * diagram.SCALE, y * diagram.SCALE))
            assert pixel == tuple(bytes.fromhex(colour[1:])), (way, x, y)


def test_a_drawing_is_the_same_every_time() -> None:
    made = wiring.wires(PINS, PICO)
    assert diagram.to_svg(diagram.draw(made, PICO)) == diagram.to_svg(diagram.draw(made, PICO))


def test_the_picture_in_the_documents_is_the_one_that_is_drawn() -> None:
    drawing = diagram.draw(wiring.wires(PINS, PICO), PICO)
    assert (ROOT / "docs" / "wiring.svg").read_text("utf-8") == diagram.to_svg(drawing), (
        "run picodigits wiring and copy wiring.svg to docs"
    )


# --- files ------------------------------------------------------------------------------------------------


class Cells(html.parser.HTMLParser):
    """The rows of the table of a page, and whether every tag was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "rect", "polyline", "circle"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "polyline", "circle"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open:
            self.rows[-1][-1] += data


def test_the_checklist_has_a_box_for_each_wire_and_what_one_sees(tmp_path: Path) -> None:
    made = wiring.wires(PINS, PICO)
    paths = diagram.save(tmp_path / "new", made, PICO)
    assert [path.name for path in paths] == ["wiring.svg", "wiring.png", "wiring.html"]
    page = Cells(paths[2].read_text("utf-8"))
    assert page.open == []
    rows = [row for row in page.rows if row]
    assert rows == [["☐", *wiring.from_to(wire), wire.colour, wire.if_wrong] for wire in made]
    assert rows[9][1:3] == ["camera XCLK (MCLK)", "GP9, pin 12"]
    assert paths[0].read_text("utf-8").split("<svg")[1] in paths[2].read_text("utf-8")


def test_older_files_are_replaced_and_others_kept(tmp_path: Path) -> None:
    made = wiring.wires(PINS, PICO)
    diagram.save(tmp_path, made, PICO)
    diagram.save(tmp_path, made, PICO)
    for name in ("wiring.svg", "wiring.png", "wiring.html"):
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_text("mine")
        with pytest.raises(PicodigitsError, match=f"{name}: got an existing file"):
            diagram.save(tmp_path, made, PICO)
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).write_bytes(before)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_gap_for_one_wire_takes_one_wire() -> None:
    walls = [Box(200, 0, 200, 295, "none"), Box(200, 305, 200, diagram.HEIGHT, "none")]
    pads = {(100, 300): "a", (500, 300): "b", (100, 400): "c", (500, 200): "d", (450, 100): "e", (450, 600): "f"}
    router = diagram._Router(walls, pads)
    router.connect("first", "a", "b")
    assert router.routes["first"] == [((100, 300), (500, 300))]
    router.connect("across", "e", "f")
    assert router.routes["across"] == [((450, 100), (450, 600))]
    with pytest.raises(WiringError, match="got no way for the wire d"):
        router.connect("second", "c", "d")


def test_a_wire_without_a_way_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagram, "WIDTH", 400)
    with pytest.raises(WiringError, match="drawing: got no way for the wire"):
        diagram.draw(wiring.wires(PINS, PICO), PICO)
