"""What went wrong, where it went wrong, and the call that mends it."""

from __future__ import annotations

from collections.abc import Sequence

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
        return text


class DataError(BasismodelsError, ValueError):
    """The data cannot be used as they are; the command line exits with 3."""


class ModelError(BasismodelsError, ValueError):
    """The model, formula or argument makes no sense; the command line exits with 2."""


class StoreError(BasismodelsError, ValueError):
    """A stored result is damaged or of an unknown version; the command line exits with 3."""
