"""The wiring as one drawing: modules, labels and routed wires -> SVG or PNG, the same shapes in both.

    drawing = draw(wires(pins, profile), profile)
    svg_text, image = to_svg(drawing), to_image(drawing)

A wire finds its way over a grid of 10 units: it never passes over a label, a part or another wire's corner, and it
crosses other wires only straight. A sheet is A4 landscape, 1500 x 1060 units, so a unit is 0.2 mm.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont

from picodigits import report
from picodigits.board.profiles import GROUND, SUPPLY_3V3, SUPPLY_5V, Profile
from picodigits.board.wiring import CAMERA, COLOURS, PULL_UP, SCREEN, Wire, page
from picodigits.errors import WiringError
from picodigits.frames import replace_atomically

WIDTH, HEIGHT = 1500, 1060
GRID = 10
SCALE = 2  # pixels of the PNG a unit: 254 dots an inch on A4
MM = 297 / WIDTH
_MADE_BY = b"made by picodigits wiring"

_INK = "#1a1a1a"
_PALE = "#9a9a9a"
_PICO = "#e3f1e3"
_CAMERA = "#e6eef8"
_SCREEN = "#f8efe2"
_PICO_LEFT, _PICO_RIGHT, _PICO_TOP, _PICO_PITCH = 620, 940, 220, 30
_CAMERA_X, _CAMERA_TOP, _CAMERA_PITCH = (170, 350), 240, 50
_SCREEN_X, _SCREEN_TOP, _SCREEN_PITCH = 1190, 370, 40
_PULL_UPS = {"SIOD": (1190, 880), "SIOC": (1190, 940)}  # their left ends
_PULL_UP_LENGTH = 130

Point = tuple[int, int]


@dataclass(frozen=True)
class Box:
    """A rectangle, in units from the upper left corner of the sheet."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str | None = None
    radius: float = 0


@dataclass(frozen=True)
class Line:
    """A wire's way: straight from point to point."""

    points: tuple[Point, ...]
    colour: str
    width: float


@dataclass(frozen=True)
class Disc:
    """A filled circle."""

    x: float
    y: float
    radius: float
    fill: str
    stroke: str | None = None


@dataclass(frozen=True)
class Label:
    """A line of text; y is the middle of its small letters, anchor says which end of it x is."""

    x: float
    y: float
    text: str
    size: float = 14
    anchor: str = "start"  # "start", "middle", "end"
    bold: bool = False
    colour: str = _INK

    @property
    def box(self) -> Box:
        """Where its letters are, at most."""
        width = self.size * sum(map(_letter_width, self.text)) * (1.12 if self.bold else 1)
        left = self.x - width * {"start": 0, "middle": 0.5, "end": 1}[self.anchor]
        return Box(left, self.y - 0.62 * self.size, width, 1.24 * self.size, "none")


def _letter_width(letter: str) -> float:
    """Of DejaVu Sans, at least, as a share of its size: boxes are not to depend on the fonts of a computer."""
    if letter in " .,:;ijlI()'|":
        return 0.42
    if letter in "MWmw":
        return 1.0
    return 0.8 if letter.isupper() else 0.66


Shape = Box | Line | Disc | Label


@dataclass
class Drawing:
    """What is drawn, from the bottom to the top; `routes` is net -> the ways of its wires."""

    title: str
    shapes: list[Shape] = field(default_factory=list)
    routes: dict[str, list[tuple[Point, ...]]] = field(default_factory=dict)


def draw(made: Sequence[Wire], profile: Profile) -> Drawing:
    """The wires of `wiring.wires` as a drawing. Raises WiringError where there is no way left for a wire."""
    title = f"picodigits: {profile.title}, OV7670 camera, ST7735R screen"
    under, over = _Sheet(), _Sheet()
    pads = _pico(made, profile, under, over) | _camera(made, under, over) | _screen(made, under, over)
    pads |= _pull_ups(under, over)
    notes = _notes(title)
    parts = [shape for shape in under.shapes if shape not in under.open]
    router = _Router([box for shape in [*parts, *over.shapes, *notes] for box in _solid(shape)], pads)
    links = links_of(made)
    for net, start, end, _ in sorted(links, key=lambda link: _order(link, pads)):
        router.connect(net, start, end)
    colours = {net: COLOURS[colour] for net, _, _, colour in links}
    lines: list[Shape] = []
    for net, ways in router.routes.items():
        for way in ways:
            lines += [Line(way, "#ffffff", 9), Line(way, colours[net], 4.5)]
    for net, ways in router.routes.items():  # a joint of the same net is not to be cut by a white edge
        lines += [Line(way, colours[net], 4.5) for way in ways if len(ways) > 1]
        lines += [Disc(*way[0], 6.5, colours[net]) for way in ways[1:] if way[0] not in pads]
    used = {pad: net for net, start, end, _ in links for pad in (start, end)}
    dots = [Disc(*place, 7, colours[used[name]] if name in used else "#ffffff", _INK) for place, name in pads.items()]
    return Drawing(title, [*under.shapes, *lines, *dots, *over.shapes, *notes], router.routes)


def save(folder: Path, made: Sequence[Wire], profile: Profile) -> list[Path]:
    """Write wiring.svg, wiring.png and wiring.html, the page to print, over older ones of these but over nothing else.

    Returns where they are. Raises PicodigitsError.
    """
    paths = [folder / f"wiring.{ending}" for ending in ("svg", "png", "html")]
    report.need_picture_place(paths[1])
    for path in (paths[0], paths[2]):
        _need_ours(path)
    drawing = draw(made, profile)
    svg = to_svg(drawing)
    report.save_image(paths[1], to_image(drawing))
    for path, text in ((paths[0], svg), (paths[2], page(made, profile, svg))):
        _write(path, text.encode())
    return paths


def _need_ours(path: Path) -> None:
    try:
        with path.open("rb") as file:
            ours = _MADE_BY in file.read(1000)
    except FileNotFoundError:
        return
    except OSError as error:
        raise WiringError(
            f"{path}: got {error.strerror or error}, need a file's place. Choose another --out."
        ) from error
    if not ours:
        raise WiringError(
            f"{path}: got an existing file that picodigits did not make, need a new place. Choose another --out."
        )


def _write(path: Path, data: bytes) -> None:
    def fill(part: Path) -> None:
        part.write_bytes(data)

    try:
        replace_atomically(path, fill)
    except OSError as error:
        raise WiringError(
            f"{path}: got {error.strerror or error}, need a place that can be written. Choose another --out."
        ) from error


def _solid(shape: Shape) -> list[Box]:
    """Where no wire may pass because of this shape."""
    match shape:
        case Box():
            return [shape]
        case Disc():
            return [Box(shape.x - shape.radius, shape.y - shape.radius, 2 * shape.radius, 2 * shape.radius, "none")]
        case Label():
            box = shape.box
            return [Box(box.x - 4, box.y, box.width + 8, box.height, "none")]
    return []


def to_svg(drawing: Drawing) -> str:
    """The drawing as an SVG document: the same text on every computer."""
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<!-- made by picodigits wiring -->\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * MM:.0f}mm" height="{HEIGHT * MM:.0f}mm" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="DejaVu Sans, Verdana, sans-serif">\n'
        f'<title>{escape(drawing.title)}</title>\n<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n'
    ]
    parts += [_svg(shape) + "\n" for shape in drawing.shapes]
    return "".join(parts) + "</svg>\n"


def _svg(shape: Shape) -> str:
    match shape:
        case Box():
            edge = f' stroke="{shape.stroke}" stroke-width="1.5"' if shape.stroke else ""
            return (
                f'<rect x="{shape.x:g}" y="{shape.y:g}" width="{shape.width:g}" height="{shape.height:g}" '
                f'rx="{shape.radius:g}" fill="{shape.fill}"{edge}/>'
            )
        case Line():
            points = " ".join(f"{x},{y}" for x, y in shape.points)
            return (
                f'<polyline points="{points}" fill="none" stroke="{shape.colour}" stroke-width="{shape.width:g}" '
                'stroke-linejoin="round"/>'
            )
        case Disc():
            edge = f' stroke="{shape.stroke}" stroke-width="1.5"' if shape.stroke else ""
            return f'<circle cx="{shape.x:g}" cy="{shape.y:g}" r="{shape.radius:g}" fill="{shape.fill}"{edge}/>'
        case Label():
            weight = ' font-weight="bold"' if shape.bold else ""
            return (
                f'<text x="{shape.x:g}" y="{_baseline(shape):g}" font-size="{shape.size:g}" '
                f'text-anchor="{shape.anchor}" fill="{shape.colour}"{weight}>{escape(shape.text)}</text>'
            )


def to_image(drawing: Drawing) -> Image.Image:
    """The drawing as a picture, RGB, two pixels a unit."""
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "#ffffff")
    pen = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        match shape:
            case Box():
                corners = [SCALE * value for value in (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height)]
                fill = None if shape.fill == "none" else shape.fill
                pen.rounded_rectangle(corners, SCALE * shape.radius, fill, shape.stroke, round(1.5 * SCALE))
            case Line():
                points = [(SCALE * x, SCALE * y) for x, y in shape.points]
                pen.line(points, shape.colour, round(SCALE * shape.width), joint="curve")
            case Disc():
                pen.circle(
                    (SCALE * shape.x, SCALE * shape.y), SCALE * shape.radius, shape.fill, shape.stroke,
                    round(1.5 * SCALE),
                )  # fmt: skip
            case Label():
                place = (SCALE * shape.x, SCALE * _baseline(shape))
                anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
                pen.text(place, shape.text, shape.colour, font(shape.size * SCALE, shape.bold), anchor)
    return image


def font(size: float, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def _baseline(label: Label) -> float:
    return round(label.y + 0.36 * label.size, 1)


# The parts. Each puts what lies under the wires and what lies over them, and tells its pads: place -> name.

Pads = dict[Point, str]


@dataclass
class _Sheet:
    shapes: list[Shape] = field(default_factory=list)
    open: list[Shape] = field(default_factory=list)  # boxes that wires may pass over


def _pico(made: Iterable[Wire], profile: Profile, under: _Sheet, over: _Sheet) -> Pads:
    uses: dict[int, str] = {}
    for wire in made:
        if wire.module != "pull-up":
            text = wire.terminal if wire.pin not in (GROUND, SUPPLY_3V3, SUPPLY_5V) else ""
            uses[wire.number] = text and f"{'cam' if wire.module == 'camera' else 'LCD'} {text}"
    half = len(profile.header) // 2
    bottom = _PICO_TOP + (half - 1) * _PICO_PITCH
    width = _PICO_RIGHT - _PICO_LEFT
    under.shapes.append(Box(_PICO_LEFT, _PICO_TOP - 60, width, bottom - _PICO_TOP + 100, _PICO, _INK, 14))
    middle = (_PICO_LEFT + _PICO_RIGHT) / 2
    under.shapes.append(Box(middle - 35, _PICO_TOP - 75, 70, 45, "#d8d8d8", _INK, 4))
    over.shapes.append(Label(middle, _PICO_TOP - 52, "USB", 14, "middle", True))
    over.shapes.append(Label(middle, bottom + 20, profile.title, 16, "middle", True))
    pads: Pads = {}
    for number, name in enumerate(profile.header, 1):
        left = number <= half
        y = _PICO_TOP + _PICO_PITCH * ((number - 1) if left else (2 * half - number))
        x, side, anchor = (_PICO_LEFT, 1, "start") if left else (_PICO_RIGHT, -1, "end")
        pads[x, y] = f"pico {number}"
        colour = _INK if number in uses else _PALE
        over.shapes.append(Label(x + side * 16, y, str(number), 11, anchor, False, colour))
        over.shapes.append(Label(x + side * 38, y, name, 14, anchor, number in uses, colour))
        if uses.get(number):
            over.shapes.append(Label(x + side * 86, y, uses[number], 11, anchor))
    return pads


def _camera(made: Iterable[Wire], under: _Sheet, over: _Sheet) -> Pads:
    goes = {wire.terminal: _goes_to(wire) for wire in made if wire.module == "camera"}
    bottom = _CAMERA_TOP + (len(CAMERA.rows) - 1) * _CAMERA_PITCH
    box = Box(50, _CAMERA_TOP - 150, 340, bottom - _CAMERA_TOP + 190, _CAMERA, _INK, 10)
    under.shapes.append(box)
    under.open.append(box)
    under.shapes += [Disc(220, _CAMERA_TOP - 80, 36, "#3a3a3a", _INK), Disc(220, _CAMERA_TOP - 80, 18, "#7d8fa8", _INK)]
    over.shapes.append(Label(220, _CAMERA_TOP - 132, CAMERA.title, 16, "middle", True))
    pads: Pads = {}
    for row, names in enumerate(CAMERA.rows):
        for x, name in zip(_CAMERA_X, names, strict=True):
            y = _CAMERA_TOP + row * _CAMERA_PITCH
            pads[x, y] = f"camera {name}"
            over.shapes += _named(x - 13, y, name, goes.get(name, ""), "end")
    return pads


def _screen(made: Iterable[Wire], under: _Sheet, over: _Sheet) -> Pads:
    goes = {wire.terminal: _goes_to(wire) for wire in made if wire.module == "screen"}
    bottom = _SCREEN_TOP + (len(SCREEN.rows) - 1) * _SCREEN_PITCH
    under.shapes.append(Box(_SCREEN_X, _SCREEN_TOP - 90, 280, bottom - _SCREEN_TOP + 130, _SCREEN, _INK, 10))
    under.shapes.append(Box(_SCREEN_X + 120, _SCREEN_TOP - 30, 140, 175, "#3a3a3a", _INK, 4))
    over.shapes.append(Label(_SCREEN_X + 190, _SCREEN_TOP + 57, "7", 80, "middle", True, "#ffffff"))
    over.shapes.append(Label(_SCREEN_X + 140, _SCREEN_TOP - 62, SCREEN.title, 16, "middle", True))
    pads: Pads = {}
    for row, (name,) in enumerate(SCREEN.rows):
        y = _SCREEN_TOP + row * _SCREEN_PITCH
        pads[_SCREEN_X, y] = f"screen {name}"
        over.shapes += _named(_SCREEN_X + 14, y, name, goes.get(name, ""), "start")
    return pads


def _pull_ups(under: _Sheet, over: _Sheet) -> Pads:
    pads: Pads = {}
    for name, (x, y) in _PULL_UPS.items():
        under.shapes.append(Box(x + 25, y - 12, _PULL_UP_LENGTH - 50, 24, "#f3e3c0", _INK, 6))
        for left in (x, x + _PULL_UP_LENGTH - 25):
            under.shapes.append(Box(left, y - 2, 25, 4, _INK))
        over.shapes.append(Label(x + _PULL_UP_LENGTH / 2, y, PULL_UP, 14, "middle", True))
        pads[x, y] = f"pull-up {name} signal"
        pads[x + _PULL_UP_LENGTH, y] = f"pull-up {name} supply"
    x, y = _PULL_UPS["SIOC"]
    over.shapes.append(Label(x + _PULL_UP_LENGTH / 2, y + 32, "pull-up resistors", 14, "middle"))
    return pads


def _named(x: float, y: float, name: str, goes: str, anchor: str) -> list[Shape]:
    """A pin's name, bold, and after it or before it where its wire goes."""
    if anchor == "end":
        return [Label(x, y, goes, 12, anchor), Label(x - 46, y, name, 14, anchor, True)]
    return [Label(x, y, name, 14, anchor, True), Label(x + 62, y, goes, 12, anchor)]


def _goes_to(wire: Wire) -> str:
    return {SUPPLY_3V3: "3V3", SUPPLY_5V: "5 V"}.get(wire.pin, wire.pin)


def _notes(title: str) -> list[Shape]:
    lines = (
        "Behind each name stands the Pico's pin. Go by the names printed on your modules: their order differs.",
        "A dot joins wires (one row of the breadboard); wires that only cross are not joined.",
        f"SDA and SCL (SIOD, SIOC) each need a {PULL_UP} resistor to 3V3.",
        "The camera takes 3.3 V only: 5 V destroys it.",
        "Unplug USB while you wire; keep the camera's wires short.",
    )
    notes: list[Shape] = [Label(50, 45, title, 24, "start", True)]
    return notes + [Label(50, 934 + 26 * number, line, 14) for number, line in enumerate(lines)]


# The wires.

Link = tuple[str, str, str, str]  # net, pad, pad, colour


def links_of(made: Iterable[Wire]) -> list[Link]:
    """What is to be joined, as (net, pad, pad, colour): wire by wire, and the resistors' two ends."""
    links = []
    for wire in made:
        shared = wire.pin in (SUPPLY_3V3, SUPPLY_5V)
        net = wire.pin if shared else f"{wire.module} {wire.terminal}"
        if wire.module == "pull-up":
            links.append((SUPPLY_3V3, f"pico {wire.number}", f"pull-up {wire.terminal} supply", wire.colour))
            signal = next(one for one in made if (one.module, one.terminal) == ("camera", wire.terminal))
            links.append(
                (f"camera {wire.terminal}", f"pico {signal.number}", f"pull-up {wire.terminal} signal", signal.colour)
            )
        else:
            links.append((net, f"pico {wire.number}", f"{wire.module} {wire.terminal}", wire.colour))
    return links


def _order(link: Link, pads: Pads) -> tuple[bool, int]:
    """Short ways first; those of the supply last, from right to left."""
    place = {name: point for point, name in pads.items()}
    (x0, y0), (x1, y1) = place[link[1]], place[link[2]]
    return (True, -x1) if link[0] == SUPPLY_3V3 else (False, abs(x0 - x1) + abs(y0 - y1))


_STEP, _BEND, _CROSS, _BESIDE = 2, 12, 16, 3  # what a way costs
_DIRECTIONS: tuple[Point, ...] = ((GRID, 0), (0, GRID), (-GRID, 0), (0, -GRID))
_BLOCKED = 2  # how a point is taken; 0 and 1: by a wire that passes along x or y


class _Router:
    """Finds ways over the grid, one wire after another, each the cheapest that is left (Dijkstra's, with an aim)."""

    def __init__(self, solid: Iterable[Box], pads: Pads) -> None:
        self._place = {name: point for point, name in pads.items()}
        self._taken: dict[Point, tuple[str, int]] = {}  # point -> net, how
        self._reserved: dict[Point, str] = {}  # the places beside a pad -> the pad
        self.routes: dict[str, list[tuple[Point, ...]]] = {}
        for box in solid:
            for x in range(_up(box.x), int(box.x + box.width) + 1, GRID):
                for y in range(_up(box.y), int(box.y + box.height) + 1, GRID):
                    self._taken[x, y] = ("", _BLOCKED)
        for (x, y), name in pads.items():
            self._taken.pop((x, y), None)
            for dx, dy in ((0, 0), *_DIRECTIONS):
                self._reserved.setdefault((x + dx, y + dy), name)

    def connect(self, net: str, start: str, end: str) -> None:
        """Join two pads, or the second to what is already joined to the first."""
        tree = {
            point: how
            for point, (owner, how) in self._taken.items()
            if owner == net and (how != _BLOCKED or point in self._corners(net))
        }
        sources = set(tree) | {self._place[start]}
        way = self._find(net, sources, self._place[end], {start, end})
        if way is None:
            raise WiringError(
                f"drawing: got no way for the wire {end}, need one. These pins are too far from their modules; "
                "the table is right all the same."
            )
        self._take(net, way)
        self.routes.setdefault(net, []).append(_corners_of(way))

    def _corners(self, net: str) -> set[Point]:
        return {point for way in self.routes.get(net, []) for point in way}

    def _find(self, net: str, sources: set[Point], goal: Point, mine: set[str]) -> list[Point] | None:
        """The cheapest way from any of `sources` to `goal`."""
        queue: list[tuple[int, int, Point, int]] = []
        cost: dict[tuple[Point, int], int] = {}
        before: dict[tuple[Point, int], tuple[Point, int]] = {}
        for point in sorted(sources):
            for direction in range(4):
                cost[point, direction] = 0
                heapq.heappush(queue, (self._aim(point, goal), 0, point, direction))
        while queue:
            _, so_far, point, direction = heapq.heappop(queue)
            if so_far > cost[point, direction]:
                continue
            if point == goal:
                return _trace(before, (point, direction))
            for turn in (direction, (direction + 1) % 4, (direction + 3) % 4):
                dx, dy = _DIRECTIONS[turn]
                new = (point[0] + dx, point[1] + dy)
                price = self._price(net, new, turn, mine)
                if price is None:
                    continue
                total = so_far + price + (_BEND if turn != direction and point not in sources else 0)
                if total < cost.get((new, turn), 1 << 30):
                    cost[new, turn] = total
                    before[new, turn] = (point, direction)
                    heapq.heappush(queue, (total + self._aim(new, goal), total, new, turn))
        return None

    def _price(self, net: str, point: Point, direction: int, mine: set[str]) -> int | None:
        """What a step to `point` costs; None where it may not be made."""
        x, y = point
        if not (GRID <= x <= WIDTH - GRID and GRID <= y <= HEIGHT - GRID):
            return None
        if self._reserved.get(point, "") not in ("", *mine):
            return None
        price = _STEP
        owner = self._taken.get(point)
        if owner is not None and owner[0] != net:
            if owner[1] == _BLOCKED or owner[1] == direction % 2:  # only straight across; so no turn there either
                return None
            price += _CROSS
        dx, dy = _DIRECTIONS[(direction + 1) % 4]
        for neighbour in ((x + dx, y + dy), (x - dx, y - dy)):
            other = self._taken.get(neighbour)
            if other is not None and other[0] != net and other[1] in (_BLOCKED, direction % 2):
                price += _BESIDE
        return price

    def _aim(self, point: Point, goal: Point) -> int:
        return (abs(point[0] - goal[0]) + abs(point[1] - goal[1])) // GRID * _STEP

    def _take(self, net: str, way: Sequence[Point]) -> None:
        for i, point in enumerate(way):
            ends = i in (0, len(way) - 1)
            bend = not ends and way[i - 1][0] != way[i + 1][0] and way[i - 1][1] != way[i + 1][1]
            along = 0 if way[max(i - 1, 0)][1] == way[min(i + 1, len(way) - 1)][1] else 1
            if point in self._taken and self._taken[point][0] != net:
                self._taken[point] = ("", _BLOCKED)  # a crossing: no third wire, no joint
            else:
                self._taken[point] = (net, _BLOCKED if ends or bend else along)


def _trace(before: dict[tuple[Point, int], tuple[Point, int]], state: tuple[Point, int]) -> list[Point]:
    way = [state[0]]
    while state in before:
        state = before[state]
        way.append(state[0])
    return way[::-1]


def _corners_of(way: Sequence[Point]) -> tuple[Point, ...]:
    """A way without the points that it passes straight."""
    inner = [
        here
        for last, here, following in zip(way, way[1:], way[2:], strict=False)
        if not (last[0] == here[0] == following[0] or last[1] == here[1] == following[1])
    ]
    return (way[0], *inner, way[-1])


def _up(value: float) -> int:
    return -int(-value // GRID) * GRID
