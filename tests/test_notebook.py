"""The notebook runs from top to bottom, computes what it says, and names only what exists."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from PIL import Image
from traitlets import default
from typer.main import get_command

import picodigits_board
from picodigits import modelfile
from picodigits.cli import app
from picodigits.export import TARGETS, circuitpy_files
from picodigits.training.recipes import RECIPES
from picodigits_board import link

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "train_and_export.ipynb"
BOARD = Path(picodigits_board.__file__).parent
CELL_TIMEOUT_S = 120
WRITTEN = {"svm.py", "svm_min.py", "picodigits_model.py", "article.pdm", "confusion.png", ".picodigits-export.json"}
PICTURES = {  # cell -> pictures that it shows
    "look-at-samples": 1,
    "show-confusion": 1,
    "show-mistakes": 1,
    "quantise": 1,
    "paste-array": 1,
    "photograph": 2,
}
# The export cell again, as a reader would run it, then what the cells computed as JSON.
RERUN = "export-models"
READ_BACK = """
import json

refusals = []
for wrong in ([0] * 143, [256] * 144, [-1] * 144):
    try:
        as_ink(wrong)
    except ValueError as error:
        refusals.append(str(error))
print(json.dumps({
    "right": right, "tested": len(test), "accuracy": accuracy, "accuracy_int8": accuracy_int8, "changed": changed,
    "confusion": confusion.tolist(), "sizes": sizes,
    "float_mismatches": float_mismatches, "float_difference": float_difference,
    "compact_mismatches": compact_mismatches, "proof_mismatches": compact.proof.mismatches,
    "proof_inks": compact.proof.inks,
    "pasted": pasted.tolist(), "prepared": without_pale[digit].tolist(), "pasted_read": read(pasted), "label": label,
    "same": same, "refusals": refusals,
    "shots": len(shots), "article_right": article_right, "find_right": find_right,
    "camera": {" ".join(key): value for key, value in camera_accuracy.items()},
}))
"""

pytestmark = [
    pytest.mark.slow,
    # On Windows only: pyzmq and the event loop there, which it works around by a thread.
    pytest.mark.filterwarnings("ignore:Proactor event loop does not implement add_reader:RuntimeWarning"),
]


class ThisPythonsKernel(AsyncKernelManager):
    """Starts ipykernel with the Python that runs the tests, whatever kernels are registered on this machine."""

    @default("kernel_spec_manager")
    def _only_the_native_one(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])


@dataclass(frozen=True)
class Run:
    """cells: id -> executed cell; values: what they computed; folder: where it ran; beside: files by the notebook."""

    cells: dict[str, Any]
    values: dict[str, Any]
    folder: Path
    beside: tuple[set[Path], set[Path]]


@pytest.fixture(scope="module")
def stored() -> Any:
    notebook = nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    return notebook


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    again = next(cell.source for cell in notebook.cells if cell.id == RERUN)
    notebook.cells += [
        nbformat.v4.new_code_cell(again, id="again"),
        nbformat.v4.new_code_cell(READ_BACK, id="read-back"),
    ]
    folder = tmp_path_factory.mktemp("notebook")
    private = tmp_path_factory.mktemp("jupyter")  # no settings or start-up files of whoever runs the tests
    before = set(NOTEBOOK.parent.rglob("*"))
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(variable, str(private / variable.lower()))
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT_S,
            kernel_manager_class=ThisPythonsKernel,
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute()
    cells = {cell.id: cell for cell in notebook.cells}
    values = json.loads(cells["read-back"].outputs[0].text)
    return Run(cells, values, folder, (before, set(NOTEBOOK.parent.rglob("*"))))


# --- what is stored ---------------------------------------------------------------------------------------


def test_the_notebook_is_stored_without_outputs_and_execution_counts(stored):
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert len(code) >= 10
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []


def test_the_notebook_carries_no_metadata_but_its_kernel(stored):
    assert (stored.nbformat, stored.nbformat_minor) == (4, 5)
    assert stored.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [cell.id for cell in stored.cells if cell.metadata] == []


def test_cell_ids_are_words_that_say_what_the_cell_is_for(stored):
    ids = [cell.id for cell in stored.cells]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name)] == []


# --- what it computes -------------------------------------------------------------------------------------


def test_every_cell_ran_without_a_warning(run):
    noisy = [o.text for c in run.cells.values() for o in c.get("outputs", []) if o.get("name") == "stderr"]
    assert noisy == []
    assert all(cell.execution_count for cell in run.cells.values() if cell.cell_type == "code")


def test_the_articles_model_reads_665_of_719_test_digits(run):
    assert (run.values["right"], run.values["tested"]) == (665, 719)
    assert f"{run.values['accuracy']:.2%}" == "92.49%"
    assert "92.49%" in text_of(run.cells["train-the-model"])


def test_the_confusion_matrix_counts_every_test_digit_once(run):
    table = np.array(run.values["confusion"])
    assert table.shape == (10, 10)
    assert (table.sum(), np.trace(table)) == (run.values["tested"], run.values["right"])


def test_rounding_to_whole_numbers_changes_no_prediction(run):
    assert run.values["changed"] == 0
    assert run.values["accuracy_int8"] == run.values["accuracy"]


def test_the_exports_read_as_the_models_they_were_made_from(run):
    values = run.values
    assert (values["float_mismatches"], values["compact_mismatches"], values["proof_mismatches"]) == (0, 0, 0)
    assert values["float_difference"] < 1e-12
    assert values["proof_inks"] > values["tested"]


def test_the_sizes_shown_are_those_of_the_files(run):
    sizes = run.values["sizes"]
    assert sizes == {name: (run.folder / "exported" / name).stat().st_size for name in sizes}
    assert sizes["article.pdm"] < sizes["picodigits_model.py"] < sizes["svm_min.py"] < sizes["svm.py"]
    shown = text_of(run.cells[RERUN])
    assert all(f"{name} " in shown and f" {size} bytes" in shown for name, size in sizes.items())


def test_running_the_export_again_writes_the_same(run):
    assert text_of(run.cells["again"]) == text_of(run.cells[RERUN])


def test_the_exported_model_file_is_the_articles_model(run):
    model = modelfile.read(run.folder / "exported" / "article.pdm")
    assert (model.name, model.preprocess_id, model.ink_height, model.ink_width) == ("article", "article-1", 12, 12)


def test_the_pasted_array_is_a_test_digit_and_is_read_right_in_both_forms(run):
    assert run.values["pasted"] == run.values["prepared"]
    assert run.values["pasted_read"] == run.values["label"]
    assert run.values["same"] is True
    assert f"the same ink, read as {run.values['label']}" in text_of(run.cells["both-forms"])


def test_an_array_that_is_no_ink_is_refused_with_what_was_got_and_what_is_needed(run):
    assert run.values["refusals"] == [
        "array: got 143 numbers, need 144. Copy the whole line that the board printed.",
        "array: got 256 to 256, need 0 to 255, or 0 to 1.",
        "array: got -1 to -1, need 0 to 255, or 0 to 1.",
    ]


def test_behind_the_camera_more_is_read_right_with_find_3_than_with_article_1(run):
    values = run.values
    assert values["article_right"] < values["find_right"] <= values["shots"]
    for care in ("studio", "desk"):
        assert values["camera"][f"{care} article-1"] < values["camera"][f"{care} find-4"] < values["accuracy_int8"]


def test_the_pictures_are_there_and_none_is_blank(run):
    shown = {name: pictures_of(cell) for name, cell in run.cells.items()}
    assert {name: len(pictures) for name, pictures in shown.items() if pictures} == PICTURES
    assert all(np.asarray(picture.convert("L")).std() > 5 for pictures in shown.values() for picture in pictures)


def test_the_notebook_writes_into_its_working_folder_only(run):
    before, after = run.beside
    assert after == before
    assert {path.name for path in run.folder.iterdir()} == {"exported"}
    assert {path.name for path in (run.folder / "exported").iterdir()} == WRITTEN


# --- what its text says -----------------------------------------------------------------------------------


def test_the_text_types_no_figure_that_a_cell_should_compute(stored):
    prose = "\n".join(re.sub(r"\]\([^)]*\)|`[^`]*`|^    .*$", "", text, flags=re.M) for text in markdown(stored))
    assert re.findall(r"\d+[.,]\d+|\d+ ?%|\b\d+ ?(?:bytes|KB|kB|ms|seconds)", prose) == []


def test_every_command_in_the_text_exists_and_takes_its_options(stored):
    commands = [line.split()[1:] for line in literals(stored) if line.startswith("picodigits ")]
    assert ["train", "mlp"] in commands
    trained = {f"{words[1]}.pdm" for words in commands if words[0] == "train"}
    for words in commands:
        command: Any = get_command(app)
        rest = list(words)
        while hasattr(command, "commands"):
            assert rest, words
            assert rest[0] in command.commands, words
            command = command.commands[rest.pop(0)]
        # A verb alone is a mention; with arguments it is there to be run, and must parse.
        parameters = command.make_context(words[0], rest, resilient_parsing=not rest).params
        if rest and words[0] == "train":
            assert parameters["recipe"] in RECIPES
        if rest and words[0] == "export":
            assert parameters["target"] in TARGETS
            assert parameters["model"] in {"article.pdm"} | trained | set(modelfile.pretrained())


def test_every_file_in_the_text_exists(stored):
    trained = {line.split()[2] + ".pdm" for line in literals(stored) if line.startswith("picodigits train ")}
    words = {word for line in literals(stored) for word in line.split()}
    files = {word for word in words if re.fullmatch(r"[\w./-]+\.(?:py|pdm|md|ipynb|npy|toml|png)", word)}
    assert {"svm.py", "svm_min.py", "picodigits_model.py", "settings.toml"} <= files
    known = WRITTEN | trained | set(circuitpy_files(modelfile.find("article").data))
    assert {
        file for file in files if file not in known and not (ROOT / file).exists() and not (BOARD / file).exists()
    } == set()


def test_the_setting_that_makes_the_board_print_its_ink_is_one_of_the_program(stored):
    assert "PICODIGITS_TRACE = 1" in literals(stored)
    assert '"TRACE": 0' in (BOARD / "settings.py").read_text(encoding="utf-8")
    assert 'self._usb.send("ink", self._number, ink.flatten())' in (BOARD / "stages.py").read_text(encoding="utf-8")
    code = "".join(cell.source for cell in stored.cells if cell.cell_type == "code")
    printed = "".join(re.findall(r'"(.*)"\n', code[code.index("printed = (") :].partition("\n)")[0] + "\n"))
    (text,) = link.Lines(link.SAYS, link.LONGEST).feed(printed.encode() + b"\r\n")
    assert link.values(text)["ink"].isdigit()


def markdown(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def literals(notebook: Any) -> list[str]:
    """What the text sets as code: indented lines, and spans in backticks."""
    found = []
    for text in markdown(notebook):
        found += re.findall(r"^    (.+)$", text, flags=re.M) + re.findall(r"`([^`\n]+)`", text)
    return found


def text_of(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def pictures_of(cell: Any) -> list[Image.Image]:
    data = [output.get("data", {}).get("image/png") for output in cell.get("outputs", [])]
    return [Image.open(io.BytesIO(base64.b64decode(png))) for png in data if png]
