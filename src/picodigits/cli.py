"""The command line: parse, call, print. Verbs stand in pipeline order; those of boards are in `cli_board`."""

from __future__ import annotations

import io
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from rich.table import Table
from typer.core import TyperGroup

from picodigits import __version__, captures, datasets, evaluation, modelfile, report, writers
from picodigits.camera import NO_DIGIT, every_effect, no_digit, photograph
from picodigits.cli_board import board_app
from picodigits.errors import DatasetError, FrameError, PicodigitsError, TrainingError
from picodigits.terminal import MAX_SEED, Care, ModelName, console, examples, progress_bar, say
from picodigits_board.modelfile import Model
from picodigits_board.preprocess import STATUS_NAMES


class _InPipelineOrder(TyperGroup):
    """`data` stands first after `demo`, where Typer puts groups last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda verb: {"demo": 0, "data": 1}.get(verb, 2))


app = typer.Typer(
    cls=_InPipelineOrder,
    name="picodigits",
    help="Read handwriting on a $4 microcontroller: from paper to the LCD of a Raspberry Pi Pico.\n\n"
    "Start with `picodigits demo`. The verbs follow the data: data, train, evaluate, classify, export, wiring, deploy,"
    " monitor, capture.",
    epilog=examples("demo", "train --help"),
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(
    help="Handwriting to train on and to test with.",
    epilog=examples("data list", "data get mnist", "data show mnist"),
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(data_app, name="data")
Folder = Annotated[
    Path | None, typer.Option("--folder", help="Where the MNIST files lie. Default: PICODIGITS_DATA, then the cache.")
]
Camera = Literal["none", "clean", "studio", "desk", "hard", "wide", "neat", "effects", "no-digit"]
_SPLITS: tuple[datasets.Split, ...] = ("train", "test")


# What Typer raises for a line it can't parse; where it comes from differs between Typer's versions.
_UsageError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: run a command line and return its exit status.

    0 is well, 1 bad input or a failure, 2 a line that can't be parsed, 130 Ctrl-C. Whatever goes wrong is told in one
    line on stderr; --debug, anywhere on the line, shows the traceback before it.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index("--") if "--" in words else len(words)
    debug = "--debug" in words[:end]
    words = [word for word in words[:end] if word != "--debug"] + words[end:]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a class named in letters that the terminal lacks
    try:
        status = app(words, prog_name="picodigits", standalone_mode=False) or 0
        if status == 130:
            raise KeyboardInterrupt  # which Typer turned into this status
        return int(status)
    except SystemExit:  # the reader of a pipe has closed it
        raise
    except BaseException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # making it has printed the help
            return 2
        if debug:
            traceback.print_exc()
        status, text = _explain(error, words)
        line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
        print(f"picodigits: {line}", file=sys.stderr)
        return status


def _explain(error: BaseException, words: list[str]) -> tuple[int, str]:
    """The exit status of an error, and what to tell about it."""
    match error:
        case KeyboardInterrupt():
            return 130, "stopped by Ctrl-C. Files that were being written are as they were before."
        case PicodigitsError():
            return 1, str(error)
        case _UsageError():
            where = getattr(getattr(error, "ctx", None), "command_path", "picodigits")
            reason = error.format_message().replace("Value error, ", "").rstrip(".")
            return 2, f"got the line `{shlex.join(['picodigits', *words])}`: {reason}. See {where} --help."
        case OSError():
            _drop_unwritten_output()
            thing = error.filename or "output"
            return 1, f"{thing}: got {error.strerror or error}, need a place that works. Check it."
        case MemoryError():
            return 1, "memory: got less than this takes, need more. Work on fewer samples at a time."
    return 1, f"internal error, {type(error).__name__}: {error}. Please report it with what --debug shows."


def _drop_unwritten_output() -> None:
    """After a full disk: what stdout still holds would fail again, with a traceback, when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(wanted: bool) -> None:
    if wanted:
        say(f"picodigits {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and stop.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; anywhere on the line.")
    ] = False,
) -> None:
    """Options before any verb."""


@app.command(epilog=examples("demo", "demo --count 20 --care studio --out studio"))
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("demo"),
    model: ModelName = "fast",
    count: Annotated[int, typer.Option(min=1, max=200, help="Digits to read.")] = 12,
    care: Annotated[Care, typer.Option(help="How carefully the pictures are taken.")] = "desk",
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Another seed, other digits.")] = 0,
    bench: Annotated[bool, typer.Option(help="Use the emulated Pico too, where its firmware is in the cache.")] = True,
) -> None:
    """The main job, from handwriting to the LCD picture. Needs nothing beforehand."""
    from picodigits import demo as job

    with progress_bar() as progress:
        result = job.run(out, model_name=model, count=count, care=care, seed=seed, bench=bench, progress=progress)
    say(f"\nHandwriting that model {result.model.name} was never trained on, photographed at the level of care {care}:")
    table = Table("digit from", "shown", "read", "confidence", "found", "PC", "emulated Pico")
    for line in result.lines:
        table.add_row(
            line.source,
            line.written,
            line.read,
            f"{line.confidence} %",
            line.status,
            f"{line.pc_ms:.1f} ms",
            "" if line.pico_ms is None else f"{line.pico_ms:.0f} ms",
            style=None if line.right else "dark_orange",
        )
    console.print(table)
    right, declined = result.right, result.declined
    say(f"{right} read right, {declined} declined, {len(result.lines) - right - declined} misread.")
    say(f"Frames, inks and LCD pictures: {result.sheet}")
    for note in result.notes:
        say(note)
    say(
        "\nWhat next:\n"
        "  picodigits train --help      train a model of your own\n"
        "  picodigits export --help     turn a model into what a Pico can run\n"
        "  picodigits classify --help   read your own pictures"
    )


@data_app.command("list", epilog=examples("data list"))
def data_list() -> None:
    """What handwriting there is, and where."""
    table = Table("name", "samples", "where", "state", "licence")
    for entry in datasets.available():
        table.add_row(entry.name, str(entry.samples), entry.where, entry.state, entry.licence)
    console.print(table)


@data_app.command("get", epilog=examples("data get mnist"))
def data_get(name: Annotated[str, typer.Argument(help="mnist")] = "mnist") -> None:
    """Download a dataset into the cache, checksums verified; a broken transfer leaves nothing behind."""
    if name != "mnist":
        raise DatasetError(f"data get: got {name}, need mnist. The digits of scikit-learn are bundled.")
    with progress_bar(bytes_shown=True) as progress:
        folder = datasets.download_mnist(progress)
    say(f"MNIST is in {folder}. Look at it with: picodigits data show mnist")


@data_app.command("check", epilog=examples("data check digits", "data check mnist --folder Downloads/mnist"))
def data_check(
    name: Annotated[str, typer.Argument(help="digits, mnist, folder:PATH or captures:FOLDER.")] = "digits",
    folder: Folder = None,
) -> None:
    """Is a dataset whole? Counts, classes and checksums."""
    findings = datasets.check(name, folder)
    for finding in findings:
        say(f"{'ok ' if finding.ok else 'BAD'} {finding.thing}: {finding.text}")
    bad = sum(not finding.ok for finding in findings)
    if bad:
        again = "Get it again: picodigits data get mnist" if name == "mnist" else "Mend what is marked BAD above."
        raise DatasetError(f"{name}: got {bad} of {len(findings)} checks that failed, need all to pass. {again}")


@data_app.command("show", epilog=examples("data show digits", "data show mnist --camera desk --out desk.png"))
def data_show(
    name: Annotated[str, typer.Argument(help="digits, mnist or folder:PATH.")] = "digits",
    out: Annotated[Path, typer.Option(help="The contact sheet to write (PNG).")] = Path("digits.png"),
    camera: Annotated[
        Camera,
        typer.Option(
            help="Show what the camera would see at this level of care (wide, neat: as in training); effects: one at a"
            " time; no-digit: what is to be declined."
        ),
    ] = "none",
    split: Annotated[datasets.Split, typer.Option(help="Which part of the dataset.")] = "test",
    each: Annotated[int, typer.Option(min=1, max=50, help="Samples of each class.")] = 10,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the camera simulation.")] = 0,
    folder: Folder = None,
) -> None:
    """A contact sheet: some samples of every class, as they are or as the camera sees them."""
    report.need_picture_place(out)
    dataset = datasets.load(name, split, folder)
    if camera == "none":
        sheet = datasets.contact_sheet(dataset.images, dataset.labels, dataset.class_names, each, dataset.name)
    elif camera == "effects":
        sheet = report.named_sheet(every_effect(dataset.images[seed % len(dataset)], min(each, 4), seed=seed), blocks=3)
    elif camera == "no-digit":
        marks = {"letters": writers.letters(each, seed=seed), "scribble": writers.scribbles(each, seed=seed)}
        sheet = report.named_sheet(
            {
                kind: no_digit(kind, each, "desk", seed=seed, digits=dataset.images, marks=marks.get(kind))
                for kind in NO_DIGIT
            }
        )
    else:
        sheet = report.frame_sheet(photograph(dataset.first_of_each(each).images, camera, seed=seed), each)
    report.save_image(out, sheet)
    say(f"{dataset.name}, {split}: {len(dataset)} samples. Contact sheet: {out}")


@data_app.command(
    "review",
    epilog=examples(
        "data review captures",
        "data review captures --relabel ada-20261121-193000-0012=1",
        "data review captures --remove ada-20261121-193000-0007",
        "data review captures --model mine.pdm --out again.png",
        "data review captures --set-aside",
    ),
)
def data_review(
    folder: Annotated[Path, typer.Argument(help="A folder of captures.")],
    relabel: Annotated[
        list[str] | None,
        typer.Option("--relabel", help="NAME=LABEL: what it really shows; also takes back what was set aside."),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="NAME: set it aside; nothing is deleted. May repeat.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Let this model read them again. Default: what the board read then.")
    ] = None,
    aside: Annotated[bool, typer.Option("--set-aside", help="Look at those that were set aside, and why.")] = False,
    each: Annotated[
        int, typer.Option(min=1, max=1000, help="Captures of a label on the sheet, misread ones first.")
    ] = 24,
    out: Annotated[Path, typer.Option(help="The contact sheet to write (PNG).")] = Path("review.png"),
) -> None:
    """Look through captures: a contact sheet by label, what was misread, and putting labels right.

    A capture that was misread is what the model has to learn, unless its label is wrong: that is for you to see.
    """
    report.need_picture_place(out)
    changes = [captures.parse_relabel(text) for text in relabel or ()]
    for name, label in changes:
        say(f"{name} is now {captures.relabel(folder, name, label).name}")
    for name in remove or ():
        say(f"{name} is now {captures.set_aside(folder, name)}")
    found = captures.load(folder, set_aside=aside)
    if model is not None:
        found = captures.read_again(found, modelfile.find(model))
    for text in found.damaged:
        say(f"Left out: {text}")
    if not found:
        say(f"Nothing in {folder} was set aside.")
        return
    table = Table("label", "captures", "misread", "declined")
    for row in captures.tally(found):
        table.add_row(*row)
    console.print(table)
    listed = found.items if aside else [item for item in found if item.misread]
    if listed:
        table = Table("set aside" if aside else "not read right", "label", "read", *(["why"] if aside else []))
        for item in listed:
            read = f"{item.read}, {item.confidence} %" if item.read else "declined"
            table.add_row(item.stem, item.label, read, *([item.reason] if aside else []))
        console.print(table)
    report.save_image(out, report.capture_sheet(found, each))
    say(f"Contact sheet: {out}")
    say(f"Put a label right: picodigits data review {folder} --relabel NAME=LABEL, or take it out: --remove NAME")


@data_app.command(
    "export", epilog=examples("data export captures:captures --out shared", "data export captures:mine --out mine-png")
)
def data_export(
    name: Annotated[str, typer.Argument(help="captures:FOLDER")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
) -> None:
    """Captures as anybody can use them: a folder of PNGs a label, upright, lossless, and a table (CSV)."""
    found = captures.load(captures.folder_named(name))
    for text in found.damaged:
        say(f"Left out: {text}")
    with progress_bar() as progress:
        table = captures.export(found, out, progress)
    say(f"{len(found)} captures exported. Table: {table}")
    say(f"They come back with: picodigits data import {out} --out FOLDER")


@data_app.command(
    "import", epilog=examples("data import shared --out captures", "data import photos --writer eve --out captures")
)
def data_import(
    source: Annotated[Path, typer.Argument(help="A folder with a folder of pictures a label, or an export.")],
    out: Annotated[Path, typer.Option(help="The folder of captures; what is in it stays.")] = Path("captures"),
    writer: Annotated[
        str | None, typer.Option(help="Whose hand it is, for pictures without the table of an export.")
    ] = None,
) -> None:
    """Pictures, or an export of captures, into a folder of captures. An export comes back bit for bit.

    Pictures without a whole digit, and the same again, are set aside.
    """
    with progress_bar() as progress:
        done = captures.import_folder(source, out, writer, progress)
    say(f"{len(done.saved)} captures saved in {out}, {len(done.aside)} set aside.")
    say(f"Look at them: picodigits data review {out}" + (" --set-aside" if not done.saved else ""))


@app.command(
    epilog=examples(
        "train article",
        "train linear --data digits --out mine.pdm",
        "train mlp --data folder:letters --out letters.pdm",
        "train fast --data mnist --data strokes --out mine.pdm",
        "train --data captures:captures --data mnist",
        "train --data captures:captures --base best --out mine.pdm",
    )
)
def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="article, article-mnist, linear, mlp, tiny, fast or best. Default: article."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The model file to write. Default: RECIPE.pdm; with captures mine.pdm")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", help="Instead of the recipe's: digits, strokes, mnist, folder:PATH, captures:FOLDER. May repeat."
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="With captures: the model to start from, a name or a file. Default: fast.")
    ] = None,
    folder: Folder = None,
    confusion: Annotated[
        Path | None, typer.Option(help="The confusion matrix as PNG. Default: beside the model.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Another seed, other photographs and weights.")] = 0,
    force: Annotated[
        bool,
        typer.Option("--force", help="Overwrite an existing model file; with captures, also write one that got worse."),
    ] = False,
) -> None:
    """Train a model and report what it can do.

    **article**: LinearSVC on scikit-learn's digits at 12x12, as the article (seconds).
    **article-mnist**: the same on MNIST. **linear**: a linear model behind our preprocessing, trained on simulated
    camera frames. **mlp**: the same with a hidden layer (minutes).
    **tiny**, **fast**, **best**: convolutional networks in integers (an hour to an hour and a half each, half of it
    photographs and larger networks that teach; `pip install picodigits[train]`). A training that was stopped goes on
    where it was.

    With **--data captures:FOLDER** no recipe: the model **--base** learns on from a few dozen frames of each digit in
    your handwriting (a minute or two; PyTorch). Some handwriting that it knows is mixed in, so that it forgets
    nothing: the other --data, or else what there is of mnist, digits and strokes. Whole sessions are held out, and on
    these it is measured, before and after. What got worse is not written.
    """
    captured = [name for name in data or () if name.startswith(captures.PREFIX)]
    if captured:
        if recipe is not None:
            raise TrainingError(
                f"train: got the recipe {recipe} and captures, need one of them. A model that is there learns captures:"
                f" --base {recipe}."
            )
        known = [name for name in data or () if name not in captured]
        _tune(captured, known, base or "fast", folder, out or Path(f"mine{modelfile.SUFFIX}"), confusion, seed, force)
        return
    if base is not None:
        raise TrainingError(
            f"train: got the base {base} without captures, need some. Take them with picodigits capture, then add "
            "--data captures:FOLDER."
        )
    from picodigits.training import recipes

    recipe = recipe or "article"
    chosen = recipes.with_data(recipes.find(recipe), data)
    path = out or Path(f"{recipe}{modelfile.SUFFIX}")
    picture = confusion or path.with_suffix(".confusion.png")
    modelfile.need_new(path, force)
    report.need_writable(path)
    report.need_picture_place(picture)
    training, tests = _load_splits(chosen.data, folder)
    with progress_bar() as progress:
        trained = recipes.train(chosen, training, progress, seed=seed)
        modelfile.write(path, trained.data)
        model = modelfile.parse(trained.data)
        results = evaluation.of_test_splits(model, tests, bool(chosen.cares), progress)
    report.save_evaluation(model, results, None, picture)
    _print_report(model, results, declining=True)
    say(f"Confusion matrix: {picture}")
    _print_description(model)
    say(f"Trained on {trained.samples} samples. Model file: {path}")


def _load_splits(names: Sequence[str], folder: Path | None) -> list[list[datasets.Dataset]]:
    """The training and the test splits of datasets. --folder is where MNIST lies; others need none."""
    folders = [folder if name == "mnist" or "mnist" not in names else None for name in names]
    return [
        [datasets.load(name, split, place) for name, place in zip(names, folders, strict=True)] for split in _SPLITS
    ]


def _tune(
    captured: Sequence[str],
    known: Sequence[str],
    base_name: str,
    folder: Path | None,
    path: Path,
    confusion: Path | None,
    seed: int,
    force: bool,
) -> None:
    """The captures way of `train`."""
    from picodigits.training import finetune

    base = modelfile.find(base_name)
    picture = confusion or path.with_suffix(".confusion.png")
    modelfile.need_new(path, force)
    report.need_writable(path)
    report.need_picture_place(picture)
    taken = finetune.load_captures(captured)
    for text in taken.damaged:
        say(f"Left out: {text}")
    known = known or finetune.known_handwriting()
    training, tests = _load_splits(known, folder)
    with progress_bar() as progress:
        tuned = finetune.tune(base, taken, training, tests, progress, name=finetune.name_for(path), seed=seed)
    model = modelfile.parse(tuned.data)
    say(f"{base.name} learned from {tuned.learned_from}, and went on with {', '.join(known)}.")
    say(f"Held out: {tuned.split.how}.")
    for note in tuned.notes:
        say(note)
    (before, after), *_ = zip(tuned.before, tuned.after, strict=True)
    say(f"{base.name} -> {model.name}, on frames that it did not learn from:")
    if not before.kind:
        console.print(report.classes_table(before, after, base.labels))
    console.print(report.tuning_table(tuned.before, tuned.after))
    say(f"It declines below {model.min_confidence} % confidence; {base.name} below {base.min_confidence} %.")
    if tuned.worse and not force:
        raise TrainingError(
            f"{path}: got a model that is worse than {base.name} ({'; '.join(tuned.worse)}), need one that is not. "
            f"Nothing was written, {base.name} stays. Look through the labels with picodigits data review, capture "
            "more, or write it all the same with --force."
        )
    modelfile.write(path, tuned.data)
    report.save_evaluation(model, [item for item in tuned.after if not item.kind], None, picture)
    say(f"Confusion matrix: {picture}")
    if tuned.worse:
        say(f"Written although it is worse than {base.name}: {'; '.join(tuned.worse)}.")
    say(f"Model file: {path}. Onto the board: picodigits deploy --model {path}")


@app.command(epilog=examples("calibrate mine.pdm --force", "calibrate mine.pdm --data digits --out careful.pdm"))
def calibrate(
    model: Annotated[str, typer.Argument(help="A pretrained model's name, or a model file (.pdm).")],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="What it was trained on. May repeat. Default: mnist, digits, strokes."),
    ] = None,
    folder: Folder = None,
    out: Annotated[
        Path | None, typer.Option(help="The model file to write. Default: MODEL itself, or NAME.pdm")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing model file.")] = False,
) -> None:
    """Set how sure a model must be to show a digit; `train` has done it once. A minute or two.

    Training images that are held back, and frames without a digit, are photographed. The scale of the confidence
    becomes the one under which the truth is likeliest, and the threshold the highest that declines 1.5 % of the digits
    on a desk. Nothing else in the file changes.
    """
    from picodigits.training import calibration

    loaded = modelfile.find(model)
    path = out or Path(f"{loaded.name}{modelfile.SUFFIX}" if model in modelfile.pretrained() else model)
    modelfile.need_new(path, force)
    report.need_writable(path)
    names = data or calibration.SOURCES
    folders = [folder if name == "mnist" or "mnist" not in names else None for name in names]
    training = [datasets.load(name, "train", place) for name, place in zip(names, folders, strict=True)]
    with progress_bar() as progress:
        made = calibration.recalibrate(bytes(loaded.data), training, progress)
    modelfile.write(path, made)
    after = modelfile.parse(made)
    table = Table("", "before", "after")
    table.add_row("scores this much lower are half as likely", str(loaded.octave), str(after.octave))
    table.add_row("declines below", f"{loaded.min_confidence} %", f"{after.min_confidence} %")
    console.print(table)
    say(f"Model file: {path}")


@app.command(
    epilog=examples(
        "evaluate fast",
        "evaluate fast --limit 200",
        "evaluate mine.pdm --data mnist --level desk --limit 0 --out mine",
        "evaluate mine.pdm --data no-digit",
        "evaluate mine.pdm --data captures:captures",
        "evaluate mine.pdm --data frames:captured --no-decline",
    )
)
def evaluate(
    model: Annotated[str, typer.Argument(help="A pretrained model's name, or a model file (.pdm).")],
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            help="digits, strokes, mnist, folder:PATH, no-digit, captures:FOLDER, or frames:PATH (frames already taken:"
            " a folder a class, and one named none). May repeat. Default: digits, strokes, no-digit, and mnist if it is"
            " there.",
        ),
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(
            "--level",
            "--care",
            help="How carefully the pictures are taken: clean, studio, desk, hard; none: no camera, samples resized to"
            " the ink. May repeat. Default: all four, and desk and hard for frames without a digit.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Frames of each dataset at each level, at most; 0: all.")] = 1000,
    no_decline: Annotated[bool, typer.Option("--no-decline", help="Always name a class, however unsure.")] = False,
    folder: Folder = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.json, confusion.png, coverage.png and calibration.png.")
    ] = None,
    confusion: Annotated[Path | None, typer.Option(help="Save the confusion matrix as PNG here.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the camera simulation.")] = evaluation.SEED,
) -> None:
    """How well a model reads, on test writers and photographs that no model was trained on. About a minute.

    **read right** is with declining switched off. **declined**: the board would show "no digit", because preprocessing
    found no whole digit or the confidence is below the model's threshold. **shown wrong**: the board would show another
    digit than was written. Frames without a digit (blank paper, letters, a finger, ...) are all to be declined.

    Then what declining buys: the fewer frames are shown, the more of them should be right. And whether the confidence
    is true: of frames with a confidence of 80 to 90 % about 85 % should be right.
    """
    loaded = modelfile.find(model)
    report.need_evaluation_places(out, confusion)
    for name in data or ():
        for text in captures.load(captures.folder_named(name)).damaged if name.startswith(captures.PREFIX) else ():
            say(f"Left out: {text}")
    with progress_bar() as progress:
        sets = evaluation.held_out(
            data or (), level or (), loaded.labels, folder=folder, limit=limit, seed=seed, no_digit=not no_decline
        )
        results = evaluation.evaluate([loaded], sets, progress)[0]
    written = report.save_evaluation(loaded, results, out, confusion)
    _print_report(loaded, results, declining=not no_decline)
    for path in written:
        say(f"Saved: {path}")
    _print_description(loaded)


@app.command(
    epilog=examples(
        "classify photo.jpg",
        "classify frames.npy --out predictions.npy",
        "classify frames.npy --model linear --no-decline --out predictions.npy",
    )
)
def classify(
    inputs: Annotated[
        list[Path], typer.Argument(help="Frames (.npy, raw), pictures (PNG, JPEG), folders of them, captures.")
    ],
    model: ModelName = "best",
    no_decline: Annotated[bool, typer.Option("--no-decline", help="Always name a class, however unsure.")] = False,
    multi: Annotated[
        int, typer.Option("--multi", min=1, max=4, help="Read up to so many digits side by side, left to right.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Predictions as (N,) int16 .npy: class index, -1 = declined; (N, M) with --multi M, -2 = none."
        ),
    ] = None,
) -> None:
    """Read frames or pictures, as the board would.

    Frames are (N, 60, 80) uint16 RGB565_SWAPPED, or the (N, 9600) uint8 that the camera sends; or 160x120 ones,
    (N, 120, 160) and (N, 38400), in which digits may be half as large.
    """
    from picodigits.executors import NumpyExecutor

    loaded = modelfile.find(model)
    if out is not None:
        report.need_predictions_place(out)
    sets = [captures.load_frames(path) for path in inputs]
    for text in (text for item in sets for text in item.damaged):
        say(f"Left out: {text}")
    names = [name for item in sets for name in item.names]
    shapes = {item.frames.shape[1:] for item in sets}
    if len(shapes) > 1:
        sizes = " and ".join(f"{width}x{height}" for height, width in sorted(shapes))
        raise FrameError(f"frames: got {sizes}, need one size. Classify them one after the other.")
    pictures = np.concatenate([item.frames for item in sets])
    turned = np.concatenate([item.transpose for item in sets])
    if multi > 1:
        _classify_rows(loaded, pictures, names, multi, no_decline, out)
        return
    with progress_bar() as progress:
        inks = captures.upright_inks(
            pictures,
            loaded.preprocess_id,
            (loaded.ink_height, loaded.ink_width),
            turned,
            lambda done, total: progress("reading", done, total),
        )
    readings = NumpyExecutor(loaded).decide(inks)
    predictions = readings.best if no_decline else readings.decisions
    if out is not None:
        report.save_predictions(out, predictions)
        say(f"{len(predictions)} frames read, {int((predictions < 0).sum())} declined. Predictions: {out}")
        return
    table = Table("frame", "read", "confidence", "found")
    for name, prediction, confidence, status in zip(
        names, predictions, readings.confidences, readings.inks.statuses, strict=True
    ):
        label = loaded.labels[prediction] if prediction >= 0 else "no digit"
        table.add_row(name, label, f"{confidence} %", STATUS_NAMES[status])
    console.print(table)


def _classify_rows(
    model: Model, pictures: Any, names: Sequence[str], most: int, no_decline: bool, out: Path | None
) -> None:
    """The --multi way of `classify`."""
    from picodigits.executors import NumpyExecutor

    with progress_bar() as progress:
        rows = NumpyExecutor(model).read_rows(pictures, most, lambda done, total: progress("reading", done, total))
    read = [[digit.best if no_decline else digit.decision for digit in row] for row in rows]
    if out is not None:
        predictions = np.full((len(read), most), -2, dtype=np.int16)
        for row, line in zip(read, predictions, strict=True):
            line[: len(row)] = row
        report.save_predictions(out, predictions)
        say(f"{len(rows)} frames read, {sum(map(len, rows))} digits. Predictions: {out}")
        return
    table = Table("frame", "read", "confidence")
    for name, row, digits in zip(names, read, rows, strict=True):
        label = " ".join(model.labels[value] if value >= 0 else "?" for value in row) or "no digit"
        table.add_row(name, label, " ".join(f"{digit.confidence} %" for digit in digits))
    console.print(table)


@app.command(epilog=examples("export circuitpython", "export m2cgen --model article --out svm"))
def export(
    target: Annotated[str, typer.Argument(help="m2cgen, compact or circuitpython.")],
    model: Annotated[
        str | None,
        typer.Option("--model", help="A model's name or file. Default: fast for circuitpython, else article."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write into. Default: TARGET-MODEL")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that this command did not write.")] = False,
) -> None:
    """Turn a model file into what a board can run, with a proof that it reads the same.

    **m2cgen**: the article's way, svm.py and svm_min.py (linear models). **compact**: one small pure Python file of
    our own (dense layers). **circuitpython**: everything that belongs on the CIRCUITPY drive.
    """
    from picodigits import export as exports

    loaded = modelfile.find(model or ("fast" if target == "circuitpython" else "article"))
    result = exports.export(target, loaded, out or Path(f"{target}-{loaded.name}"), force=force)
    table = Table(f"written to {result.folder}", "bytes")
    for name, size in result.files.items():
        table.add_row(name, f"{size}")
    table.add_row("together", f"{result.bytes}", style="bold")
    console.print(table)
    sizes = Table("the same model as", "bytes")
    for name, other in result.sizes.items():
        sizes.add_row(name, "not possible" if other is None else f"{other}")
    console.print(sizes)
    say(f"{result.proof} {result.note}".strip())


@app.command(epilog=examples("describe fast", "describe mine.pdm"))
def describe(
    model: Annotated[str, typer.Argument(help="A pretrained model's name, or a model file (.pdm).")],
) -> None:
    """What a model file says about itself."""
    _print_description(modelfile.find(model))


app.add_typer(board_app)


def _print_report(model: Model, results: Sequence[evaluation.Evaluation], *, declining: bool) -> None:
    levels = evaluation.by_level(results)
    if levels:
        console.print(report.evaluation_table([item for item in results if not item.kind], declining))
        if declining:
            console.print(report.reasons_table(levels))
            console.print(report.coverage_table(levels, model.min_confidence))
        console.print(report.calibration_table(levels))
        console.print(report.confusion_table(evaluation.confusion(results, model.classes), model.labels))
    if declining and any(item.kind for item in results):
        console.print(report.no_digit_table([item for item in results if item.kind]))


def _print_description(model: Model) -> None:
    facts = Table(show_header=False)
    for what, value in modelfile.describe(model):
        facts.add_row(what, value)
    console.print(facts)
