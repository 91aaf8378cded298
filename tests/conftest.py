"""What several test files need."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from picodigits.bench import firmware as firmware_files
from picodigits.errors import FirmwareError
from picodigits.training import recipes, renderings


@pytest.fixture(autouse=True)
def _own_cache_of_trainings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Photographs and checkpoints that a test makes lie in a folder of its own: it finds none of the user's, and leaves
    none there."""
    folder = tmp_path_factory.mktemp("cache")
    for module in (recipes, renderings):
        monkeypatch.setattr(module, "cache_folder", lambda: folder)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder with the official MNIST files, or a skip."""
    folder = os.environ.get("PICODIGITS_DATA")
    if not folder:
        pytest.skip("PICODIGITS_DATA names no folder with the MNIST files")
    return Path(folder)


@pytest.fixture(scope="session")
def firmware() -> firmware_files.Firmware:
    """The CircuitPython UF2 of the cache, or a skip that names the path where it belongs."""
    try:
        return firmware_files.find()
    except FirmwareError as error:
        pytest.skip(f"no firmware: {error}")
