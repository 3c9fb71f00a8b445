"""The embedded example: simulated, with one planted failure whose truth is in the file."""

from __future__ import annotations

from importlib.resources import as_file, files

from basismodels.series import BasisSeries


def load_example(start: str | None = None, end: str | None = None) -> BasisSeries:
    """120 days of hourly simulated data; column true_failure holds the truth."""
    from basismodels.sources.files import read

    with as_file(files("basismodels") / "data" / "example.parquet") as path:
        return read(path, start=start, end=end)
