"""The verbs that touch a board, real or emulated: parse, call, print."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.prompt import IntPrompt
from rich.table import Column, Table

from picodigits import modelfile
from picodigits.terminal import MAX_SEED, Care, ModelName, console, examples, progress_bar, say

if TYPE_CHECKING:
    from picodigits.board.connection import Connection, Reading

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
    circup: Annotated[
        bool, typer.Option("--circup", help="Adafruit's libraries by circup, not from their PyPI packages.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Let the board itself read what was written: macOS and Windows write late."),
    ] = False,
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
    plan = job.prepare(drive, loaded.data, settings=values, pins=pins, profile=profile, circup=circup)
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
    if verify:
        from picodigits.board import doctor as doctors

        job.verify(plan, doctors.port_of(plan.drive))
        say("The board itself reads on its drive what was written.")
    say("Eject the drive before you unplug the board.")
    for line in job.expectation(plan):
        say(line)


@contextlib.contextmanager
def _open(board: str, model: str) -> Iterator[Connection]:
    """A connection with the board; while an emulated one starts, with a progress bar."""
    from picodigits.board import connection as boards

    with contextlib.ExitStack() as stack:
        with progress_bar() if board == "emulator" else contextlib.nullcontext(_silent) as progress:
            connection = stack.enter_context(boards.open_board(board, model=model, progress=progress))
        yield connection


def _silent(stage: str, done: int, total: int) -> None:
    """No progress bar."""


BoardName = Annotated[
    str,
    typer.Option("--board", help="auto, a serial port, stand-in (this computer plays the board), or emulator."),
]


@board_app.command(
    epilog=examples(
        "capture --label 7 --count 20 --writer ada --out captures",
        "capture --writer ada",
        "capture --label none --count 30 --writer ada",
        "capture --board stand-in --count 2 --out trial",
    )
)
def capture(
    label: Annotated[
        list[str] | None,
        typer.Option(help="What you show; none: no digit. May repeat. Default: each class of the model in turn."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Captures of each label.")] = 20,
    writer: Annotated[str, typer.Option(help="Whose hand it is; accuracy is measured by writer and session.")] = "me",
    out: Annotated[Path, typer.Option(help="The folder of captures; what is in it stays.")] = Path("captures"),
    every: Annotated[
        float | None,
        typer.Option(min=0.1, max=3600, help="Take a frame every so many seconds, not when a digit stands still."),
    ] = None,
    anew: Annotated[bool, typer.Option("--new", help="A new sitting, even if the last one was cut.")] = False,
    board: BoardName = "auto",
    model: ModelName = "fast",
) -> None:
    """Frames from the board into a folder, with what they show: to teach a model your handwriting.

    Write a digit, hold it up, and keep it still for a moment: that is all. Then take it away or show the next one.
    The same sheet again, and frames without a whole digit, are set aside. What is reported is saved: after Ctrl-C, a
    pulled cable or a crash run the same command again, and it goes on. A few sittings on different days, in different
    light, are worth more than one long one. A board has its own model; **--model** is for stand-in and emulator.
    """
    from picodigits.board import capture as job
    from picodigits.board import monitor as views

    job.need_place(out)
    with _open(board, model) as connection:
        wanted = dict.fromkeys(label or connection.labels, count)
        sitting = job.Sitting(out, writer, wanted, every_s=every, anew=anew)
        for text in job.greeting(sitting, connection.labels):
            say(text)
        try:
            with views.live(console) as draw:

                def show(reading: Reading, step: job.Step) -> None:
                    for text in job.lines(sitting, step):
                        say(text)
                    draw(views.View(reading, connection.info, connection.damaged, job.bar(sitting, step)))

                job.sit(sitting, connection, show)
        finally:
            table = Table("label", "captures", "not read right", "set aside")
            for row in job.counts(sitting):
                table.add_row(*row)
            console.print(table)
            for text in job.what_next(sitting):
                say(text)


@board_app.command(
    epilog=examples("monitor", "monitor --board /dev/ttyACM0", "monitor --board stand-in --once", "monitor --json")
)
def monitor(
    once: Annotated[bool, typer.Option("--once", help="Show one frame and end.")] = False,
    frames: Annotated[int, typer.Option(min=0, help="End after so many frames; 0: at Ctrl-C.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON a frame, for other programs.")] = False,
    board: BoardName = "auto",
    model: ModelName = "fast",
) -> None:
    """What the board sees, thinks and measures, live: to aim it, to focus it, and to see why it misreads.

    The camera's picture with the box of the digit, the ink that the network sees, how likely each class is, times and
    free memory, and what to do: turn the lens, more light, go closer. **focus** says how steep the digit's edges are:
    turn the lens until it is as large as it gets; below 45 it is blurred. **light** is how bright the paper is. A board
    that is unplugged is found again. A board has its own model; **--model** is for stand-in and emulator.
    """
    from picodigits.board import monitor as job

    whole = once or (console.is_terminal and not as_json)  # the view, not a line a frame
    tell = say if whole else lambda text: typer.echo(text, err=True)
    left = 1 if once else frames
    with (
        contextlib.suppress(KeyboardInterrupt),  # the way to end it
        job.live(console) if whole and not once else contextlib.nullcontext(console.print) as draw,
    ):
        for connection, reading in job.watch(lambda: _open(board, model), tell, reconnect=not once):
            view = job.View(reading, connection.info, connection.damaged)
            if once and not view.complete:
                continue
            if as_json:
                typer.echo(json.dumps(view.to_json()))
            elif whole:
                draw(view)
            else:
                say(view.line)
            left -= 1
            if left == 0:
                break


Firmware = Annotated[
    str | None,
    typer.Option("--firmware", help="A UF2 file or a version. Default: 10.0.0, from the cache or the network."),
]


@board_app.command(
    epilog=examples(
        "doctor",
        "doctor --board COM5 --pins my_pins.py",
        "doctor --board /media/me/CIRCUITPY --yes --json",
        "doctor --board emulator --fault no-vsync --yes",
    )
)
def doctor(
    board: Annotated[
        str, typer.Option("--board", help="auto, a serial port, the folder of a drive, or emulator.")
    ] = "auto",
    pins: Pins = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: leave out the screen's test card.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for camera.png, what the camera sees. Default: not saved.")
    ] = None,
    fault: Annotated[
        str | None,
        typer.Option(help="With --board emulator: break this first. picodigits bench fault lists what there is."),
    ] = None,
    model: ModelName = "fast",
    firmware: Firmware = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines; asks nothing.")] = False,
) -> None:
    """Find out what is wrong with a board, and say what to do; exit status 1 where something is.

    First what the computer sees: drive, port, CircuitPython, application, model, settings. Then the board's program is
    stopped, and the board tests pull-ups, I2C, every line of the camera, its test pattern, light, focus and screen.
    Then its program starts again. Nothing is written to the drive.

    ok: it is right. BAD: put it right, the first one first. --: it could not be judged.
    """
    from picodigits.board import doctor as job
    from picodigits.board.judge import BAD, Finding

    asks = not (yes or as_json) and sys.stdin.isatty()
    found: list[Finding] = []

    def tell(findings: Iterable[Finding]) -> None:
        for finding in findings:
            found.append(finding)
            if not as_json:
                say(str(finding))

    def ask(question: str, answers: Sequence[str]) -> int:
        for number, answer in enumerate(answers, 1):
            say(f"  {number}  {answer}")
        return IntPrompt.ask(question, choices=[str(n) for n in range(1, len(answers) + 1)], console=console) - 1

    with contextlib.ExitStack() as stack:
        if board == "emulator":
            progress = stack.enter_context(progress_bar())
            place = stack.enter_context(
                job.emulated(modelfile.find(model), fault, firmware=firmware, out=out, progress=progress)
            )
        elif fault is not None:
            raise typer.BadParameter("faults are for --board emulator", param_hint="--fault")
        else:
            place, findings = job.look_for(board)
            tell(findings)
        tell(job.examine(place, pins, ask=ask if asks else None, out=out))
    bad = [finding for finding in found if finding.state == BAD]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=1, ensure_ascii=False))
    else:
        say(f"{len(bad)} to put right, first: {bad[0].topic}." if bad else "Nothing wrong was found.")
    if bad:
        raise typer.Exit(1)


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
