"""The command line: parse, call, print. Verbs stand in pipeline order."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from picodigits import __version__, datasets, modelfile, report
from picodigits.camera import photograph
from picodigits.errors import DatasetError, FrameError, ModelFileError, PicodigitsError
from picodigits_board.preprocess import STATUS_NAMES

app = typer.Typer(
    name="picodigits",
    help="Read handwriting on a $4 microcontroller: from paper to the LCD of a Raspberry Pi Pico.\n\n"
    "Start with `picodigits demo`. The verbs follow the data: data, train, evaluate, classify, export.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Handwriting to train on and to test with.", no_args_is_help=True)
app.add_typer(data_app, name="data")

console = Console()
Data = Annotated[str, typer.Option("--data", help="digits (bundled), mnist, or folder:PATH with one folder a class.")]
Folder = Annotated[
    Path | None, typer.Option("--folder", help="Where the MNIST files lie. Default: PICODIGITS_DATA, then the cache.")
]
ModelName = Annotated[str, typer.Option("--model", help="A pretrained model's name, or a model file (.pdm).")]
Care = Literal["studio", "desk"]
CareOrNone = Literal["studio", "desk", "none"]


def main() -> None:
    """Entry point: expected errors become one line on stderr and exit status 1; --debug shows the traceback."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app()
    except PicodigitsError as error:
        if debug:
            raise
        Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"picodigits: {error}")
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        console.print(f"picodigits {__version__}", highlight=False)
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


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("demo"),
    model: ModelName = "mlp",
    count: Annotated[int, typer.Option(min=1, max=200, help="Digits to read.")] = 12,
    care: Annotated[Care, typer.Option(help="How carefully the pictures are taken.")] = "desk",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other digits.")] = 7,
) -> None:
    """The main job, from handwriting to the LCD picture. Needs nothing beforehand."""
    from picodigits import demo as job

    with _progress() as progress:
        result = job.run(out, model_name=model, count=count, care=care, seed=seed, progress=progress)
    console.print(
        f"\nHandwriting that model [bold]{result.model.name}[/] was never trained on, photographed at the "
        f"level of care [bold]{care}[/]:"
    )
    table = Table("digit from", "shown", "read", "confidence", "found", "PC")
    for line in result.lines:
        style = None if line.right else "dark_orange"
        table.add_row(
            line.source, line.written, line.read, f"{line.confidence} %", line.status, f"{line.ms:.1f} ms", style=style
        )
    console.print(table)
    right = sum(line.right for line in result.lines)
    console.print(f"{right} of {len(result.lines)} read right. Frames, inks and LCD pictures: [bold]{result.sheet}[/]")
    for note in result.notes:
        console.print(note)
    console.print(
        "\nWhat next:\n"
        "  picodigits train --help      train a model of your own\n"
        "  picodigits export --help     turn a model into what a Pico can run\n"
        "  picodigits classify --help   read your own pictures",
        highlight=False,
    )


@data_app.command("list")
def data_list() -> None:
    """What handwriting there is, and where."""
    table = Table("name", "samples", "where", "state", "licence")
    for entry in datasets.available():
        table.add_row(entry.name, str(entry.samples), entry.where, entry.state, entry.licence)
    console.print(table)


@data_app.command("get")
def data_get(name: Annotated[str, typer.Argument(help="mnist")] = "mnist") -> None:
    """Download a dataset into the cache, checksums verified; a broken transfer leaves nothing behind."""
    if name != "mnist":
        raise DatasetError(f"data get: got {name}, need mnist. The digits of scikit-learn are bundled.")
    with _progress(bytes_shown=True) as progress:
        folder = datasets.download_mnist(progress)
    console.print(f"MNIST is in [bold]{folder}[/]. Look at it with: picodigits data show mnist")


@data_app.command("check")
def data_check(
    name: Annotated[str, typer.Argument(help="digits, mnist or folder:PATH.")] = "digits", folder: Folder = None
) -> None:
    """Is a dataset whole? Counts, classes and checksums."""
    findings = datasets.check(name, folder)
    for finding in findings:
        console.print(f"{'ok ' if finding.ok else 'BAD'} {finding.thing}: {finding.text}", highlight=False)
    if not all(finding.ok for finding in findings):
        raise DatasetError(f"{name}: got damaged data, need it whole. Get it again: picodigits data get {name}")


@data_app.command("show")
def data_show(
    name: Annotated[str, typer.Argument(help="digits, mnist or folder:PATH.")] = "digits",
    out: Annotated[Path, typer.Option(help="The contact sheet to write (PNG).")] = Path("digits.png"),
    camera: Annotated[
        CareOrNone, typer.Option(help="Show what the camera would see at this level of care.")
    ] = "none",
    split: Annotated[datasets.Split, typer.Option(help="Which part of the dataset.")] = "test",
    each: Annotated[int, typer.Option(min=1, max=50, help="Samples of each class.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the camera simulation.")] = 0,
    folder: Folder = None,
) -> None:
    """A contact sheet: some samples of every class, as they are or as the camera sees them."""
    dataset = datasets.load(name, split, folder)
    if camera == "none":
        sheet = datasets.contact_sheet(dataset.images, dataset.labels, dataset.class_names, each, dataset.name)
    else:
        sheet = report.frame_sheet(photograph(dataset.first_of_each(each).images, camera, seed=seed), each)
    report.save_image(out, sheet)
    console.print(f"{dataset.name}, {split}: {len(dataset)} samples. Contact sheet: [bold]{out}[/]")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="article, article-mnist, linear or mlp.")] = "article",
    out: Annotated[Path | None, typer.Option(help="The model file to write. Default: RECIPE.pdm")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="Instead of the recipe's: digits, mnist, folder:PATH. May repeat."),
    ] = None,
    folder: Folder = None,
    confusion: Annotated[
        Path | None, typer.Option(help="The confusion matrix as PNG. Default: beside the model.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing model file.")] = False,
) -> None:
    """Train a model and report what it can do.

    **article**: LinearSVC on scikit-learn's digits at 12x12, as the article (seconds).
    **article-mnist**: the same on MNIST. **linear**: a linear model behind our preprocessing, trained on simulated
    camera frames. **mlp**: the same with a hidden layer (minutes).
    """
    from picodigits.training import recipes

    if recipe not in recipes.RECIPES:
        raise ModelFileError(f"recipe: got {recipe}, need one of {', '.join(recipes.RECIPES)}.")
    chosen = recipes.with_data(recipes.RECIPES[recipe], data)
    path = out or Path(f"{recipe}{modelfile.SUFFIX}")
    if path.exists() and not force:
        raise ModelFileError(f"{path}: it exists already. Choose another --out, or overwrite it with --force.")
    training = [datasets.load(name, "train", folder) for name in chosen.data]
    with _progress() as progress:
        trained = recipes.train(chosen, training, progress, seed=seed)
        tests = [datasets.load(name, "test", folder) for name in chosen.data]
        results = recipes.evaluate_all(trained.data, chosen, tests, progress)
    modelfile.write(path, trained.data)
    _print_evaluations(trained.data, results, confusion or path.with_suffix(".confusion.png"))
    console.print(f"Trained on {trained.samples} samples. Model file: [bold]{path}[/]")


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A pretrained model's name, or a model file (.pdm).")],
    data: Data = "digits",
    care: Annotated[
        CareOrNone, typer.Option(help="Photograph the samples at this level of care; none: resize them to the ink.")
    ] = "desk",
    folder: Folder = None,
    confusion: Annotated[Path | None, typer.Option(help="Save the confusion matrix as PNG here.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the camera simulation.")] = 1,
) -> None:
    """How well a model reads the test split of a dataset."""
    from picodigits.training import recipes

    loaded = modelfile.find(model)
    dataset = datasets.load(data, "test", folder)
    with _progress() as progress:
        level = None if care == "none" else care
        result = recipes.evaluate(bytes(loaded.data), dataset, level, progress, seed=seed)
    _print_evaluations(bytes(loaded.data), [result], confusion)


@app.command()
def classify(
    inputs: Annotated[list[Path], typer.Argument(help="Frames (.npy, raw), pictures (PNG, JPEG), or folders of them.")],
    model: ModelName = "mlp",
    no_decline: Annotated[bool, typer.Option("--no-decline", help="Always name a class, however unsure.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Predictions as (N,) int16 .npy: class index, -1 = declined.")
    ] = None,
) -> None:
    """Read frames or pictures, as the board would."""
    from picodigits import frames
    from picodigits.executors import NumpyExecutor

    loaded = modelfile.find(model)
    sets = [frames.load_frames(path) for path in inputs]
    names = [name for item in sets for name in item.names]
    shapes = {item.frames.shape[1:] for item in sets}
    if len(shapes) > 1:
        raise FrameError(f"frames: got sizes {sorted(shapes)}, need one size. Classify them one after the other.")
    pictures = np.concatenate([item.frames for item in sets])
    with _progress() as progress:
        readings = NumpyExecutor(loaded).read(pictures, lambda done, total: progress("reading", done, total))
    predictions = readings.best if no_decline else readings.decisions
    if out is not None:
        frames.write_atomically(out, frames.npy(predictions))
        console.print(f"{len(predictions)} frames read, {int((predictions < 0).sum())} declined. Predictions: {out}")
        return
    table = Table("frame", "read", "confidence", "found")
    for name, prediction, confidence, status in zip(
        names, predictions, readings.confidences, readings.inks.statuses, strict=True
    ):
        label = loaded.labels[prediction] if prediction >= 0 else "no digit"
        table.add_row(name, label, f"{confidence} %", STATUS_NAMES[status])
    console.print(table)


@app.command()
def export(
    target: Annotated[str, typer.Argument(help="m2cgen, compact or circuitpython.")],
    model: ModelName = "mlp",
    out: Annotated[Path | None, typer.Option(help="Folder to write into. Default: TARGET-MODEL")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that this command did not write.")] = False,
) -> None:
    """Turn a model file into what a board can run, with a proof that it reads the same.

    **m2cgen**: the article's way, svm.py and svm_min.py (linear models). **compact**: one small pure Python file of
    our own. **circuitpython**: everything that belongs on the CIRCUITPY drive.
    """
    from picodigits import export as exports

    loaded = modelfile.find(model)
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
    console.print(f"{result.proof} {result.note}".strip(), highlight=False)


@app.command()
def describe(
    model: Annotated[str, typer.Argument(help="A pretrained model's name, or a model file (.pdm).")],
) -> None:
    """What a model file says about itself."""
    table = Table(show_header=False)
    for what, value in modelfile.describe(modelfile.find(model)):
        table.add_row(what, value)
    console.print(table)


def _print_evaluations(data: bytes, evaluations: list[Any], confusion: Path | None) -> None:
    model = modelfile.parse(data)
    view = Table("test split", "samples", "read right", "declined", "shown wrong")
    for result in evaluations:
        view.add_row(
            result.name,
            str(len(result.labels)),
            f"{100 * result.accuracy:.2f} %",
            f"{100 * result.declined:.1f} %",
            f"{100 * result.wrong:.1f} %",
        )
    console.print(view)
    last = evaluations[-1]
    console.print(f"{last.name}:")
    table = last.confusion(model.classes)
    console.print(report.confusion_table(table, model.labels))
    if confusion is not None:
        report.save_confusion(confusion, table, model.labels, f"{model.name} on {last.name}")
        console.print(f"Confusion matrix: [bold]{confusion}[/]")
    facts = Table(show_header=False)
    for what, value in modelfile.describe(model):
        facts.add_row(what, value)
    console.print(facts)


@contextmanager
def _progress(bytes_shown: bool = False) -> Iterator[Any]:
    """A progress display; yields a function (stage, done, total), total 0 for a stage of unknown length."""
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn()]
    columns += [] if bytes_shown else [MofNCompleteColumn()]
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total or None)
            bar.update(tasks[stage], completed=done, total=total or None)

        yield update
