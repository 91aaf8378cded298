"""The verbs that touch a board, real or emulated: parse, call, print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Column, Table

from picodigits import modelfile
from picodigits.terminal import MAX_SEED, Care, ModelName, console, examples, progress_bar, say

board_app = typer.Typer(rich_markup_mode="markdown")
bench_app = typer.Typer(
    help="The real CircuitPython firmware on an emulated Pico, with a virtual camera and a virtual screen.",
    epilog=examples("bench run --digit 5", "bench fault camera-missing", "bench report"),
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Pins = Annotated[
    Path | None, typer.Option("--pins", help="Another wiring: a pins.py of yours. Default: the application's.")
]


@board_app.command(epilog=examples("wiring", "wiring --profile pico2-w --out printed", "wiring --pins my_pins.py"))
def wiring(
    profile: Annotated[str, typer.Option(help="The board: pico, pico-w, pico2, pico2-w.")] = "pico",
    pins: Pins = None,
    out: Annotated[Path, typer.Option(help="Folder for wiring.svg, wiring.png and wiring.html.")] = Path("wiring"),
) -> None:
    """How Pico, camera and screen are wired: a table, a picture, and a checklist to print.

    The pins are checked first: whether they exist, are free, and can do what they are for.
    """
    from picodigits.board import diagram, profiles
    from picodigits.board import wiring as wirings

    board, chosen = profiles.find(profile), wirings.read_pins(pins)
    wirings.need_sound(chosen, board, str(pins or "pins.py"))
    wires = wirings.wires(chosen, board)
    paths = diagram.save(out, wires, board)
    table = Table("from", "to the Pico", "wire", title=board.title)
    for wire in wires:
        table.add_row(*wirings.from_to(wire), wire.colour)
    console.print(table)
    say(f"Picture: {paths[1]}, also {paths[0].name}.")
    say(f"To print, with a box to tick for each wire and what you see where it is wrong: {paths[2]}")


@board_app.command(
    epilog=examples(
        "deploy",
        "deploy --model mine.pdm --settings transpose=1 --settings flip_y=1",
        "deploy --dry-run",
        "deploy --to /media/me/CIRCUITPY",
    )
)
def deploy(
    to: Annotated[
        Path | None, typer.Option("--to", "--board", help="The drive, or a folder. Default: the board that is found.")
    ] = None,
    model: ModelName = "fast",
    settings: Annotated[
        list[str] | None,
        typer.Option("--settings", help="NAME=VALUE for settings.toml, such as flip_y=1. May repeat; others stay."),
    ] = None,
    pins: Pins = None,
    profile: Annotated[
        str | None, typer.Option(help="pico, pico-w, pico2 or pico2-w, where the drive does not tell.")
    ] = None,
    firmware: Annotated[
        str | None,
        typer.Option("--firmware", help="For a board in BOOTSEL mode: a UF2 file or a version. Default: 10.0.0."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")] = False,
) -> None:
    """Put application, libraries, model and settings onto a board; onto one in BOOTSEL mode CircuitPython first.

    What is equal is left alone. Each file is read back and compared. A copy that is cut never runs half-made: the
    board waits, and the next deploy goes on. A code.py of yours is kept under another name.
    """
    from picodigits.board import deploy as job

    loaded = modelfile.find(model)
    values = job.parse_settings(settings or ())
    drive = job.choose(to)
    say(f"Board: {drive.title}")
    if drive.bootsel or firmware is not None:
        with progress_bar(bytes_shown=True) as progress:
            drive, done = job.install_circuitpython(drive, profile, firmware, dry_run=dry_run, progress=progress)
        for line in done:
            say(line)
        if dry_run:
            say("Nothing was changed. The application goes onto the drive that comes up after the firmware.")
            return
        say(f"Board: {drive.title}")
    plan = job.prepare(drive, loaded.data, settings=values, pins=pins, profile=profile)
    table = Table(Column("on the drive", no_wrap=True), "bytes", "")
    for item in plan.lines:
        table.add_row(item.path, str(item.bytes), item.what)
    console.print(table)
    for note in plan.notes:
        say(note)
    if dry_run:
        say(f"{plan.bytes} bytes would be written. Nothing was changed.")
        return
    with progress_bar(bytes_shown=True) as progress:
        job.carry_out(plan, progress)
    say("Everything was up to date." if plan.up_to_date else f"{plan.bytes} bytes written, read back and compared.")
    say("Eject the drive before you unplug the board.")
    for line in job.expectation(plan):
        say(line)


Firmware = Annotated[
    str | None,
    typer.Option("--firmware", help="A UF2 file or a version. Default: 10.0.0, from the cache or the network."),
]
BenchOut = Annotated[Path, typer.Option("--out", help="Folder for LCD pictures, bench.json and serial.txt.")]


@bench_app.command("run", epilog=examples("bench run --digit 5", "bench run --image five.png --model linear --json"))
def bench_run(
    image: Annotated[
        list[Path] | None,
        typer.Option("--image", "--frames", help="A picture, frames (.npy), or a folder. May repeat."),
    ] = None,
    digit: Annotated[
        list[int] | None, typer.Option(min=0, max=9, help="A handwritten digit, photographed. May repeat. Default: 5")
    ] = None,
    model: ModelName = "fast",
    firmware: Firmware = None,
    out: BenchOut = Path("bench"),
    frames_each: Annotated[int, typer.Option(min=1, max=1000, help="Frames that the board takes of each picture.")] = 3,
    care: Annotated[Care, typer.Option(help="How carefully digits are photographed.")] = "desk",
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Another seed, another writer.")] = 0,
    trace: Annotated[bool, typer.Option(help="Also heap after each stage and the largest free block; slower.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Boot CircuitPython, let code.py read pictures through the camera, and show what the LCD showed."""
    from picodigits.bench import session

    with progress_bar() as progress:
        done = session.run_model(
            modelfile.find(model),
            image or (),
            digit if digit is not None else () if image else (5,),
            firmware=firmware,
            frames_each=frames_each,
            care=care,
            seed=seed,
            trace=trace,
            progress=progress,
        )
        paths = done.result.save(out)
    if as_json:
        typer.echo(json.dumps(done.to_json(), indent=1))
        return
    table = Table("looked at", "read", "confidence", "PC reads")
    for row in done.readings:
        table.add_row(*row)
    console.print(table)
    facts = Table(show_header=False)
    for what, value in done.result.table():
        facts.add_row(what, value)
    console.print(facts)
    say(f"{done.verdict} LCD: {paths[0]}, enlarged: {paths[1]}")


@bench_app.command("fault", epilog=examples("bench fault camera-missing", "bench fault model-damaged --out fault"))
def bench_fault(
    name: Annotated[str, typer.Argument(help="Which; without a name they are listed.")] = "",
    model: ModelName = "article",
    firmware: Firmware = None,
    out: BenchOut = Path("bench-fault"),
) -> None:
    """Break a wire, the chip or a file on the emulated board: what does it show and say, and does it recover?"""
    from picodigits.bench import session

    if not name:
        table = Table("fault", "what is broken")
        for row in session.fault_names():
            table.add_row(*row)
        console.print(table)
        return
    with progress_bar() as progress:
        seen = session.run_fault(name, modelfile.find(model), firmware=firmware, progress=progress)
    paths = session.save_fault(seen, out)
    for line in seen.errors or ["nothing"]:
        say(f"said over USB: {line}")
    say("reads again once it is mended" if seen.recovered else "does not read again by itself once it is mended")
    say(f"LCD during the fault: {paths[0]}, after it: {paths[1]}")


@bench_app.command("serve", epilog=examples("bench serve", "bench serve --kind tcp"))
def bench_serve(
    model: ModelName = "fast",
    firmware: Firmware = None,
    kind: Annotated[Literal["auto", "pty", "tcp"], typer.Option(help="What other programs open.")] = "auto",
    seconds: Annotated[float, typer.Option(min=0, help="Stop after so long; 0: run until Ctrl-C.")] = 0,
) -> None:
    """Keep an emulated board running with its USB serial port open, for tools that expect a real one."""
    from picodigits.bench import session

    with (
        progress_bar() as progress,
        session.serve(modelfile.find(model), kind=kind, firmware=firmware, progress=progress) as port,
    ):
        say(f"The emulated Pico's serial port: {port.name}")
        say("Open it with Thonny, mpremote or screen. Ctrl-C here ends the board.")
        sys.stdout.flush()
        port.wait(seconds or None)


@bench_app.command("report", epilog=examples("bench report", "bench report --model fast --out benchmarks"))
def bench_report(
    model: Annotated[list[str] | None, typer.Option("--model", help="Only these. May repeat. Default: all.")] = None,
    firmware: Firmware = None,
    out: BenchOut = Path("benchmarks"),
) -> None:
    """All shipped models and the article's own program on one firmware: bench.csv and a plot. Takes ten minutes."""
    from picodigits.bench import report as bench_reports
    from picodigits.bench import session

    with progress_bar() as progress:
        uf2 = session.firmware_for(firmware, progress)
        rows = bench_reports.measure(firmware=uf2, models=model, progress=progress)
        paths = bench_reports.save(rows, out)
    table = Table("virtual ms, means", *(row.program for row in rows))
    for what, cells in bench_reports.table(rows):
        table.add_row(what, *cells)
    console.print(table)
    say(f"{bench_reports.CLOCK_COVERS[0].upper()}{bench_reports.CLOCK_COVERS[1:]}.")
    say(f"Table: {paths[0]}, plot: {paths[1]}")


board_app.add_typer(bench_app, name="bench")
