"""Read handwriting on a $4 microcontroller: train, export, bench and put on the board."""

from __future__ import annotations

__version__ = "0.1.0"
