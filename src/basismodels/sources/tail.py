"""Rows appended to a CSV file, as they come."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from basismodels._coerce import as_frame
from basismodels.errors import DataError
from basismodels.series import BasisSeries, Fact
from basismodels.sources.files import SETTLED, _series, _settled_as

BLOCK = 1_000
_BYTES = 1 << 18
_LONGEST = 1 << 20


class Tail:
    """Follows a CSV file: each call of `blocks` reads the whole lines appended since the last, a block at a time."""

    def __init__(
        self,
        path: str | Path,
        *,
        perp: str = "perp",
        reference: str | None = None,
        funding: str = SETTLED,
    ) -> None:
        self.path, self.perp, self.reference = Path(path), perp, reference
        self.funding = funding
        with self._open() as file:
            self.header = file.readline(_LONGEST)
            self.offset = file.tell()
        if not self.header.endswith(b"\n"):
            raise DataError(f"{self.path} has no header line yet", remedy="write the header first, then the rows")
        if self.header.startswith(b"PAR1"):
            raise DataError(f"{self.path} is a Parquet file, to which no row can be added", remedy="watch a CSV file")

    def _open(self) -> io.BufferedReader:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}") from error

    def blocks(self) -> Iterator[BasisSeries | DataError]:
        """The series of each block of new rows, and a DataError in place of each row that cannot be used.

        A block that cannot be used as a whole is halved until the rows to blame stand alone. Raises DataError where
        the file became shorter.
        """
        while lines := self._lines():
            yield from self._parts(lines)

    def _parts(self, lines: list[bytes]) -> Iterator[BasisSeries | DataError]:
        made = self._made(lines)
        if isinstance(made, DataError) and len(lines) > 1:
            half = len(lines) // 2
            yield from self._parts(lines[:half])
            yield from self._parts(lines[half:])
        else:
            yield made

    def _lines(self) -> list[bytes]:
        """The next whole lines, a block at most; a line still being written stays for the next time."""
        with self._open() as file:
            if file.seek(0, io.SEEK_END) < self.offset:
                raise DataError(f"{self.path} became shorter while it was watched", remedy="start again")
            file.seek(self.offset)
            lines: list[bytes] = []
            while len(lines) < BLOCK and self.offset - file.tell() < _BYTES:
                line = file.readline(_LONGEST)
                if not line.endswith(b"\n"):
                    if len(line) >= _LONGEST:
                        raise DataError(f"{self.path} holds a line of more than {_LONGEST:,} bytes")
                    break
                self.offset += len(line)
                if line.strip():
                    lines.append(line)
        return lines

    def _made(self, lines: list[bytes]) -> BasisSeries | DataError:
        try:
            raw = pd.read_csv(io.BytesIO(self.header + b"".join(lines)))
            if self.funding != SETTLED:
                raw = _settled_as(raw, self.funding)
            facts: dict[str, Fact] = {"source": str(self.path)}
            return _series(as_frame(raw), facts, self.perp, self.reference, (), part=True)
        except DataError as error:
            return error
        except (ValueError, UnicodeDecodeError) as error:
            return DataError(f"a row of {self.path.name} cannot be read: {' '.join(str(error).split())[:120]}")


def after(data: BasisSeries, stamp: pd.Timestamp) -> BasisSeries | None:
    """The rows after a stamp, None where there is none."""
    if data.time[-1] <= stamp:
        return None
    return data if data.time[0] > stamp else data.cut(start=stamp + pd.Timedelta("1us"))
