"""What every verb of the command line uses: how it prints, shows progress and gives examples; options of several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

# Names of files, classes and models are printed as they are: no markup, no emoji codes.
console = Console(markup=False, emoji=False, highlight=False)
ModelName = Annotated[str, typer.Option("--model", help="A pretrained model's name, or a model file (.pdm).")]
Care = Literal["clean", "studio", "desk", "hard"]
MAX_SEED = 2**32 - 1  # scikit-learn's
_FINISHED_SHOWN = 5  # stages; of a training with a hundred of them the one at work would lie below the window


def examples(*lines: str) -> str:
    """The end of a verb's help."""
    return "Examples:\n\n" + "\n\n".join(f"`picodigits {line}`" for line in lines)


def say(text: str) -> None:
    """Print text as it is, on lines as long as they are: paths can be copied, and piped lines do not break."""
    console.print(text, soft_wrap=True)


@contextmanager
def progress_bar(bytes_shown: bool = False) -> Iterator[Any]:
    """A progress display; yields a function (stage, done, total), total 0 for a stage of unknown length.

    Of the stages that are done the last few stay in view.
    """
    columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn()]
    columns += [] if bytes_shown else [MofNCompleteColumn()]
    errors = Console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), console=errors, transient=True, disable=not errors.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                for old in [task for task in bar.tasks if task.finished][:-_FINISHED_SHOWN]:
                    bar.remove_task(old.id)
                    del tasks[old.description]
                tasks[stage] = bar.add_task(stage, total=total or None)
            bar.update(tasks[stage], completed=done, total=total or None)

        yield update
