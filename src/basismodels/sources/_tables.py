"""Raw columns out of a Parquet or CSV file, one copy in memory; every failure one line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from basismodels._coerce import TIME_NAMES
from basismodels.errors import DataError, file_path

_BLOCK = 1 << 20  # bytes of CSV held as text at a time
_MAGIC = b"PAR1"
_AGAIN = "write or download the file again"
_COMMAS = 'pd.read_csv(path, sep=";", decimal=",", index_col=0).to_csv("commas.csv")'


def load(path: str | Path, wanted: Collection[str]) -> tuple[pd.DataFrame, Mapping[str, str]]:
    """The numeric, time and `wanted` columns of a file, and the facts stored beside them.

    Raises DataError where the path is absent, a directory, empty, cut short or of no known form.
    """
    file = _existing(file_path(path).expanduser())
    with file.open("rb") as handle:
        parquet = handle.read(len(_MAGIC)) == _MAGIC
    if not parquet and file.suffix.lower() in {".parquet", ".pq"}:
        raise DataError(f"{file} is not a Parquet file", remedy="read the file it was made from, or a .csv")
    try:
        return _parquet(file, wanted) if parquet else (_csv(file, wanted), {})
    except (OSError, ValueError, NotImplementedError) as problem:  # pyarrow's errors derive from these
        if isinstance(problem, DataError):
            raise
        if not parquet and _semicolons(file):
            raise DataError(f"{file} has semicolons between its columns", remedy=_COMMAS) from problem
        raise DataError(_damaged(file, parquet, problem), remedy=_AGAIN) from problem


def _semicolons(file: Path) -> bool:
    with file.open("rb") as handle:
        first = handle.readline(_BLOCK)
    return b";" in first and b"," not in first


def _damaged(file: Path, parquet: bool, problem: Exception) -> str:
    form = "Parquet" if parquet else "CSV"
    line = " ".join(str(problem).split())
    return f"{file} is cut short or no {form} file ({line[:160]})"


def _existing(file: Path) -> Path:
    if file.is_dir():
        raise DataError(f"{file} is a directory", remedy=f'name one file in it, such as "{file}/btc.parquet"')
    if not file.exists():
        raise DataError(f"{file} does not exist", remedy="check the path: it is relative to where you are")
    if file.stat().st_size == 0:
        raise DataError(f"{file} is empty", remedy=_AGAIN)
    return file


def _parquet(file: Path, wanted: Collection[str]) -> tuple[pd.DataFrame, Mapping[str, str]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as source:
        schema = source.schema_arrow
        names = [f.name for f in schema if _numeric(f.type) or _temporal(f.type) or f.name in wanted]
        table = source.read(columns=names, use_pandas_metadata=True)
    facts = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items() if k == b"simulated"}
    table = table.replace_schema_metadata(_pandas_only(schema.metadata))
    return table.to_pandas(split_blocks=True, self_destruct=True), facts


def _pandas_only(metadata: Mapping[bytes, bytes] | None) -> dict[bytes, bytes]:
    return {k: v for k, v in (metadata or {}).items() if k == b"pandas"}


def _csv(file: Path, wanted: Collection[str]) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import csv

    read = csv.ReadOptions(block_size=_BLOCK)
    with csv.open_csv(file, read_options=read) as source:
        types = _csv_types(source.schema, wanted)
    convert = csv.ConvertOptions(column_types=types, include_columns=list(types))
    pieces: dict[str, list[Any]] = {name: [] for name in types}
    with csv.open_csv(file, read_options=read, convert_options=convert) as source:
        for batch in source:
            for name in types:  # a copy, so that the block it came from is let go
                pieces[name].append(batch.column(name).to_pandas().copy(deep=True))
    pa.default_memory_pool().release_unused()
    return _joined(pieces)


def _joined(pieces: dict[str, list[Any]]) -> pd.DataFrame:
    """Columns end to end, each list freed as it is joined: one copy, and one column more at most."""
    if not any(pieces.values()):
        raise DataError("no rows: the file holds a header alone", remedy=_AGAIN)
    columns: dict[str, Any] = {}
    for name in list(pieces):
        columns[name] = pd.concat(pieces.pop(name), ignore_index=True)
    return pd.DataFrame(columns, copy=False)


def _csv_types(schema: Any, wanted: Collection[str]) -> dict[str, Any]:
    """Types for the whole file from its first block: a column empty there may hold numbers later."""
    import pyarrow as pa

    types = {}
    for column in schema:
        if column.name in TIME_NAMES or _temporal(column.type):
            types[column.name] = _stamp_type(column.type)
        elif pa.types.is_boolean(column.type):
            types[column.name] = pa.bool_()
        elif _numeric(column.type) or pa.types.is_null(column.type):
            types[column.name] = pa.float64()
        elif column.name in wanted:
            types[column.name] = column.type
    return types


def _stamp_type(kind: Any) -> Any:
    """Microseconds whatever the first rows show: later ones may carry fractions of a second."""
    import pyarrow as pa

    return pa.timestamp("us", tz=kind.tz) if pa.types.is_timestamp(kind) else kind


def _numeric(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)
    )


def _temporal(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_timestamp(kind) or types.is_date(kind))
