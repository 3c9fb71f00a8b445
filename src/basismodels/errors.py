"""What went wrong, where it went wrong, and the call that mends it."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Sequence
from pathlib import Path

_SHOWN = 3


class BasismodelsError(Exception):
    """Base of every error this package raises on purpose.

    Attributes: `what` (one sentence), `rows` (the first offending rows or
    stamps), `remedy` (the call that mends it).
    """

    def __init__(self, what: str, *, rows: Sequence[object] = (), remedy: str = "") -> None:
        self.what = what
        self.rows = tuple(rows)
        self.remedy = remedy
        super().__init__(self._text())

    def _text(self) -> str:
        text = self.what.rstrip(".")
        if self.rows:
            shown = ", ".join(str(row) for row in self.rows[:_SHOWN])
            more = ", ..." if len(self.rows) > _SHOWN else ""
            text += f" (first at {shown}{more})"
        if self.remedy:
            text += f". Remedy: {self.remedy}"
        return " ".join(text.split())


def real(value: object, name: str, *, above: float = -math.inf, remedy: str = "") -> float:
    """A finite number greater than `above`; ModelError for anything else."""
    truth = isinstance(value, bool)
    made = float(value) if isinstance(value, numbers.Real) and not truth else math.nan
    if math.isfinite(made) and made > above:
        return made
    wanted = "a positive number" if above == 0.0 else "a finite number"
    raise ModelError(f"{name} must be {wanted}, got {value!r}", remedy=remedy)


def share(value: object, name: str, *, remedy: str = "") -> float:
    """A number above 0 and at most 1; ModelError for anything else."""
    truth = isinstance(value, bool)
    made = float(value) if isinstance(value, numbers.Real) and not truth else math.nan
    if 0.0 < made <= 1.0:
        return made
    raise ModelError(f"{name} must lie above 0 and be at most 1, got {value!r}", remedy=remedy)


def whole(value: object, name: str, *, least: int = 1, remedy: str = "") -> int:
    """A whole number of at least `least`; ModelError for anything else."""
    truth = isinstance(value, bool)
    made = int(value) if isinstance(value, numbers.Integral) and not truth else least - 1
    if made >= least:
        return made
    wanted = "a positive whole number" if least == 1 else f"a whole number of at least {least}"
    raise ModelError(f"{name} must be {wanted}, got {value!r}", remedy=remedy)


def file_path(value: object, name: str = "path") -> Path:
    """A path from text or a path; ModelError for anything else."""
    if isinstance(value, str | os.PathLike) and "\x00" not in os.fspath(value):
        return Path(value)
    raise ModelError(f"{name} must be the path of a file, got {value!r}")


class DataError(BasismodelsError, ValueError):
    """The data cannot be used as they are; the command line exits with 3."""


class ModelError(BasismodelsError, ValueError):
    """The model, formula or argument makes no sense; the command line exits with 2."""


class StoreError(BasismodelsError, ValueError):
    """A stored result is damaged or of an unknown version; the command line exits with 3."""
