"""What the command line shows while it works."""

from __future__ import annotations

import time

import pytest

from picodigits.terminal import progress_bar


def shown_until(capsys: pytest.CaptureFixture[str], text: str) -> str:
    """What is drawn from now on until `text` is there; of ten seconds at most."""
    deadline = time.monotonic() + 10
    shown = ""
    while text not in shown and time.monotonic() < deadline:
        time.sleep(0.05)
        shown += capsys.readouterr().err
    return shown


def test_the_stage_at_work_is_in_view_however_many_came_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if it were a terminal
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("COLUMNS", "100")
    with progress_bar() as progress:
        for number in range(100):
            progress(f"photographing {number} of 100", 10, 10)
        progress("epoch 1 of 50", 3, 10)
        progress("photographing 99 of 100", 10, 10)  # told again: the same bar
        shown_until(capsys, "epoch 1 of 50")  # what was drawn before may come with it
        shown = shown_until(capsys, "epoch 1 of 50")
    assert "3/10" in shown
    assert "photographing 99 of 100" in shown
    assert "photographing 90 of 100" not in shown
