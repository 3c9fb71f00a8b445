"""Any frame, column or array to pandas with a time index, before a single rule is applied."""

from __future__ import annotations

import warnings
from typing import Any, cast

import numpy as np
import pandas as pd

from basismodels.errors import DataError

TIME_NAMES = ("time", "timestamp", "datetime", "date")
_EPOCH_UNITS = (("s", 1e8, 1e11), ("ms", 1e11, 1e14), ("us", 1e14, 1e17), ("ns", 1e17, 1e20))
_RENAME = 'df.rename(columns={"YOUR_COLUMN": "time"})'


def time_index(values: Any) -> pd.DatetimeIndex:
    """Stamps as a DatetimeIndex, zone and order as given; integers are epochs, which are UTC."""
    if isinstance(values, pd.DatetimeIndex):
        return values
    array = _native(values)
    if pd.api.types.is_bool_dtype(array.dtype):
        raise DataError("time holds truth values, not stamps", remedy=_RENAME)
    if pd.api.types.is_numeric_dtype(array.dtype):
        return _from_epoch(array)
    return _parsed(array)


def _native(values: Any) -> pd.Series[Any]:
    """One column of any library as a pandas Series without its index."""
    if isinstance(values, pd.Series | pd.Index):
        return pd.Series(values.array)
    if isinstance(values, np.ndarray | list | tuple):
        return pd.Series(values)
    import narwhals as nw

    try:
        return cast("pd.Series[Any]", _to_pandas(nw.from_native(values, series_only=True)))
    except TypeError as problem:
        raise DataError(
            f"{type(values).__name__} is no column of pandas, polars, pyarrow or numpy",
            remedy="np.asarray(values)",
        ) from problem


def _to_pandas(wrapped: Any) -> Any:
    """By the library's own conversion where it has one: it keeps the zone of stamps."""
    native = wrapped.to_native()
    return native.to_pandas() if hasattr(native, "to_pandas") else wrapped.to_pandas()


def _from_epoch(array: pd.Series[Any]) -> pd.DatetimeIndex:
    size = np.abs(np.asarray(array, dtype=np.float64))
    for unit, low, high in _EPOCH_UNITS:
        if len(size) and bool(np.all((size >= low) & (size < high))):
            return pd.DatetimeIndex(pd.to_datetime(array, unit=cast(Any, unit), utc=True))
    raise DataError(
        "time is numeric, but not seconds, ms, us or ns since 1970 in one unit throughout",
        rows=list(array[:3]),
        remedy='pd.to_datetime(time, unit="ms", utc=True)',
    )


def _parsed(array: pd.Series[Any]) -> pd.DatetimeIndex:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a format guessed row by row
            return pd.DatetimeIndex(pd.to_datetime(array))
    except (ValueError, TypeError) as problem:
        raise DataError(
            "time cannot be read as stamps of one zone",
            rows=list(array[:3]),
            remedy='pd.to_datetime(time, format="%d/%m/%Y %H:%M", utc=True), with the format that is yours',
        ) from problem


def as_frame(values: Any, time: Any = None) -> pd.DataFrame:
    """A pandas, polars or pyarrow frame as pandas with a time index, columns untouched.

    The time is `time` where given, else a column named time, timestamp,
    datetime or date, else the DatetimeIndex, else the one column of stamps.
    """
    frame = values if isinstance(values, pd.DataFrame) else _foreign_frame(values)
    if time is not None:
        return _with_index(frame, time)
    name = _time_column(frame)
    if name is None:
        return frame
    return _with_index(frame.drop(columns=[name]), frame[name])


def _foreign_frame(values: Any) -> pd.DataFrame:
    import narwhals as nw

    try:
        return cast(pd.DataFrame, _to_pandas(nw.from_native(values, eager_only=True)))
    except TypeError as problem:
        raise DataError(
            f"{type(values).__name__} is no frame of pandas, polars or pyarrow",
            remedy="pd.DataFrame(values, index=time)",
        ) from problem


def _with_index(frame: pd.DataFrame, time: Any) -> pd.DataFrame:
    index = time_index(time)
    if len(index) != len(frame):
        raise DataError(f"{len(frame)} values but {len(index)} stamps", remedy="values[: len(time)]")
    return frame.set_axis(index, axis=0)


def _time_column(frame: pd.DataFrame) -> str | None:
    """Name of the column that holds the time; None where the index does."""
    for name in TIME_NAMES:
        if name in frame.columns:
            return name
    if isinstance(frame.index, pd.DatetimeIndex):
        return None
    stamps = [name for name, kind in frame.dtypes.items() if pd.api.types.is_datetime64_any_dtype(kind)]
    if len(stamps) == 1:
        return str(stamps[0])
    columns = ", ".join(map(str, frame.columns))
    raise DataError(f"no time: neither a time index nor a column named time among {columns}", remedy=_RENAME)


def as_column(values: Any, time: Any, name: str) -> pd.Series[float]:
    """One column of numbers with a time index, from whatever holds it."""
    if isinstance(values, pd.Series) and time is None:
        return numbers(values, name)
    if _is_frame(values):
        return _only_column(as_frame(values, time), name)
    if time is None:
        raise DataError(
            f"{name} has no time: {type(values).__name__} carries no index",
            remedy=f"pd.Series({name}, index=time), or pass time=",
        )
    return numbers(_with_index(_native(values).to_frame(name), time)[name], name)


def _is_frame(values: Any) -> bool:
    return hasattr(values, "columns")


def _only_column(frame: pd.DataFrame, name: str) -> pd.Series[float]:
    if name in frame.columns:
        return numbers(frame[name], name)
    if frame.shape[1] != 1:
        columns = ", ".join(map(str, frame.columns))
        raise DataError(f"{name} must be one column, got {columns}", remedy=f'df["{name}"]')
    return numbers(frame.iloc[:, 0], name)


def numbers(column: pd.Series[Any], name: str) -> pd.Series[float]:
    """The column as float64; what is no number is an error, never silently missing."""
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as problem:
        bad = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
        raise DataError(
            f"{name} is not numeric", rows=list(bad.index[:3]), remedy=f'pd.to_numeric(df["{name}"])'
        ) from problem
    return pd.Series(values, index=column.index, name=name, copy=False)


def numeric_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Every numeric column as float64 under a string name; labels and dates are left out."""
    kept = {str(name): numbers(frame[name], str(name)) for name in frame.columns if _is_numeric(frame[name])}
    return pd.DataFrame(kept, index=frame.index, copy=False)


def _is_numeric(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype)
