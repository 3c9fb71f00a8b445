"""Odd files and arguments by the thousand: only the package's own errors may come out, in 5 seconds of CPU each,
and no file may be left half written.

    python tests/fuzz/fuzzer.py --count 10000 [--first 0]

Every case follows from its number alone, so that a failure is repeated by `--first NUMBER --count 1`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import basismodels as bm
from basismodels.cli import main as command

SECONDS = 5.0
ODD = (0, 1, -1, 1e-300, 1e300, 1e12, -1e12, 1e-12, float("nan"), float("inf"), -float("inf"), 2**63, True, None, "",
       "x", "1", "24h", (), [], {}, 1j, b"1", np.float32(3), np.array([1.0, 2.0]), pd.NaT)  # fmt: skip
WORDS = ("", "nan", "inf", "-inf", "1e309", "-1", "0", "1e-320", "x", "NULL", "1,000", "0x10", "\x00", "é", "9" * 400,
         "2024-01-01", "1900-01-01T00:00:00Z", "2262-04-12", "9999-12-31", "1970-01-01 00:00:00+14:00")  # fmt: skip
MODELS = ("random-walk", "ou", "ou-noise", "OU()", "OU(kappa=0)", "OU(theta='1 + z')", "OU(kappa='1 + funding')",
          "OU() + Noise()", "Noise()", "OU() + OU()", "Switching(OU(), regimes=2)", "OU(theta='z**2')",
          "OU(sigma=-1)", "OU(theta=1e308)", "OU(theta='1 + log(z)')", "OU(kappa='0 + z')",
          "OU(theta='1 + funding_last:z')")  # fmt: skip


class Hang(BaseException):
    """More CPU time than a case may take."""


def small(rng: np.random.Generator, rows: int = 60) -> pd.DataFrame:
    """A market as a file holds it."""
    time_index = pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC", name="time")
    spot = 100.0 * np.exp(np.cumsum(rng.normal(0, 1e-3, rows)))
    gap = np.zeros(rows)
    for i in range(1, rows):
        gap[i] = 0.8 * gap[i - 1] + rng.normal()
    rate = np.where(np.arange(rows) % 8 == 0, 1e-4 * rng.normal(size=rows), np.nan)
    return pd.DataFrame(
        {"spot": spot, "perp": spot * np.exp(1e-4 * gap), "funding_rate": rate, "z": rng.normal(size=rows)},
        index=time_index,
    )


def spoilt(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes with a few flipped, cut out, doubled, or replaced by odd words."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        at, size = int(rng.integers(0, max(len(data), 1))), int(rng.integers(1, 40))
        kind = rng.integers(6)
        if kind == 0 and data:
            data[at] = int(rng.integers(256))
        elif kind == 1:
            del data[at : at + size]
        elif kind == 2:
            data[at:at] = data[at : at + size]
        elif kind == 3:
            data[at:at] = WORDS[rng.integers(len(WORDS))].encode()
        elif kind == 4:
            del data[at:]
        else:
            data[at:at] = (b"\n", b",", b'"', b"\xff", b";")[rng.integers(5)]
    return bytes(data)


def spoilt_cells(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A frame with odd cells, rows, stamps, columns or types."""
    frame = frame.copy()
    for _ in range(int(rng.integers(1, 4))):
        kind, column = rng.integers(11), frame.columns[rng.integers(frame.shape[1])]
        row = int(rng.integers(len(frame)))
        if kind == 0:
            frame[column] = frame[column].astype(object)
            frame.iloc[row, frame.columns.get_loc(column)] = WORDS[rng.integers(len(WORDS))]
        elif kind == 1:
            frame[column] = frame[column].astype(float) * float(10.0 ** rng.integers(-320, 308))
        elif kind == 2:
            frame = pd.concat([frame.iloc[: row + 1], frame.iloc[row:]])
        elif kind == 3:
            frame = frame.iloc[rng.permutation(len(frame))]
        elif kind == 4 and isinstance(frame.index, pd.DatetimeIndex):
            zone = None if rng.random() < 0.5 else "Asia/Kolkata"
            frame.index = frame.index.tz_convert(zone) if frame.index.tz else frame.index.tz_localize(zone)
        elif kind == 5:
            frame = frame.drop(columns=[column]) if frame.shape[1] > 1 else frame
        elif kind == 6:
            frame = frame.rename(columns={column: ("time", "basis", "index", "perp", "unit", "")[rng.integers(6)]})
        elif kind == 7:
            frame = frame.iloc[: int(rng.integers(0, 5))]
        elif kind == 8:
            frame[column] = (np.nan, 0.0, -1.0, np.inf, 1.0)[rng.integers(5)]
        elif kind == 9:
            frame = frame.reset_index()
        else:
            frame = frame.astype({column: object}, errors="ignore")
        if not len(frame):
            break
    return frame


def files(rng: np.random.Generator, folder: Path) -> None:
    """A spoilt CSV or Parquet file is read, checked and fitted."""
    path = _file(rng, folder)
    read = bm.read_panel if rng.random() < 0.2 else bm.read
    made = read(path, start=_some(rng, (None, None, *WORDS)), end=_some(rng, (None, None, *WORDS)))
    if isinstance(made, bm.BasisSeries):
        _use(made, rng)


def _file(rng: np.random.Generator, folder: Path) -> Path:
    frame = small(rng)
    if rng.random() < 0.4:
        with contextlib.suppress(Exception):
            frame = spoilt_cells(frame, rng)
    if rng.random() < 0.2:
        frame = frame.assign(symbol=_some(rng, WORDS))
    path = folder / _some(rng, ("x.csv", "x.parquet", "x", "x.txt"))
    buffer = io.BytesIO()
    if path.suffix == ".parquet":
        try:
            frame.to_parquet(buffer)
        except Exception:  # what pandas cannot write cannot be read either
            small(rng).to_parquet(buffer)
    else:
        frame.to_csv(buffer)
    path.write_bytes(spoilt(buffer.getvalue(), rng) if rng.random() < 0.7 else buffer.getvalue())
    return path


def _some(rng: np.random.Generator, values: tuple) -> object:
    return values[rng.integers(len(values))]


def _use(data: bm.BasisSeries, rng: np.random.Generator) -> None:
    bm.check(data)
    if data.n < 500:
        initial = _some(rng, ("stationary", "conditional"))
        bm.fit(bm.parse_model(_some(rng, MODELS[:3])), data, starts=1, initial=initial)


def frames(rng: np.random.Generator, folder: Path) -> None:
    """A spoilt frame becomes a series, or a panel."""
    try:
        frame = spoilt_cells(small(rng), rng)
    except (ValueError, TypeError, KeyError, OverflowError):
        return  # pandas itself refuses to make it
    if rng.random() < 0.2:
        bm.read_panel(frame.assign(symbol="x"))
    else:
        _use(bm.from_frame(frame, perp=_some(rng, ("perp", "spot", "basis", "z", ""))), rng)


def arrays(rng: np.random.Generator, folder: Path) -> None:
    """Odd arrays as prices, basis, funding and covariates."""
    frame = small(rng, int(rng.integers(1, 60)))

    def odd() -> object:
        kind = rng.integers(5)
        values = frame[_some(rng, tuple(frame.columns))]
        if kind == 0:
            return _some(rng, ODD)
        if kind == 1:
            return values.to_numpy() * float(10.0 ** rng.integers(-300, 300))
        if kind == 2:
            return list(values)[: int(rng.integers(0, 70))]
        return values

    if rng.random() < 0.5:
        data = bm.BasisSeries.from_prices(odd(), odd(), funding=_some(rng, (None, odd())), covariates=None)
    else:
        data = bm.BasisSeries.from_basis(_some(rng, (frame.index, odd())), odd(), covariates=_some(rng, (None, odd())))
    _use(data, rng)


def expressions(rng: np.random.Generator, folder: Path) -> None:
    """Spoilt expressions of models, bound to data."""
    text = _some(rng, MODELS)
    if rng.random() < 0.6:
        text = spoilt(text.encode(), rng).decode("utf-8", "replace")
    bm.fit(bm.parse_model(text), bm.from_frame(small(rng)), starts=1)


def commands(rng: np.random.Generator, folder: Path) -> None:
    """Odd command lines: exit codes 0, 2, 3, 4, and nothing half written."""
    path = folder / "data.csv"
    small(rng).to_csv(path)
    verb = _some(rng, ("fit", "compare", "check", "simulate", "fetch", "watch", "", "report2"))
    argv = [verb, str(_some(rng, (path, path, path, folder, folder / "no.csv", "", "\x00")))]
    options = {"fit": ["--model"], "compare": ["--models"], "simulate": ["--model", "--out"]}.get(verb, [])
    for name in (*options, "--start", "--end", "--perp", "--reference", "--starts", "--level", "--rng", "--initial"):
        if rng.random() < (0.9 if name in options else 0.15):
            out = str(folder / _some(rng, ("o.csv", "o.parquet", "no/o.csv")))
            model = _some(rng, MODELS)
            value = {"--model": model, "--models": model, "--out": out, "--starts": "1"}.get(name)
            argv += [name, str(_some(rng, WORDS)) if value is None or rng.random() < 0.3 else str(value)]
    if verb in ("fit", "compare", "check") and rng.random() < 0.5:
        argv += ["--json", str(folder / _some(rng, ("j.json", "no/j.json")))]
    if verb == "watch":
        argv += ["--once", "--model", "ou"]
    if verb == "fetch":
        venue, base = _some(rng, ("binance", "ccxt:x", "ccxt:", "kraken", "")), _some(rng, ("http://127.0.0.1:9", "x"))
        argv = [
            "fetch", str(venue), "../x" if rng.random() < 0.5 else "BTC", "--start", str(_some(rng, WORDS)),
            "--end", str(_some(rng, WORDS)), "--out", str(folder / "f.csv"), "--base", str(base),
            "--cache", str(folder),
        ]  # fmt: skip
    try:
        code = command(argv)
    except SystemExit as left:
        code = left.code
    if code not in (0, 2, 3, 4):
        raise AssertionError(f"exit code {code!r} of {argv}")
    for file in folder.glob("*.json"):
        pd.read_json(file, typ="series", convert_dates=False)


def stored(rng: np.random.Generator, folder: Path) -> None:
    """A stored fit with spoilt bytes is refused or equal."""
    path = folder / "x.fit"
    path.write_bytes(spoilt(_kept(folder), rng))
    bm.load(path)


_FIT: list[bytes] = []


def _fitted() -> bm.Fit:
    return bm.fit(bm.OU(), bm.from_frame(small(np.random.default_rng(0))))


def _kept(folder: Path) -> bytes:
    if not _FIT:
        _FIT.append(bm.save(_fitted(), folder / "whole.fit").read_bytes())
    return _FIT[0]


def calls(rng: np.random.Generator, folder: Path) -> None:
    """Odd arguments of functions that take a fit or a series."""
    fit = _fitted()
    data = fit.data
    value, other = _some(rng, ODD), _some(rng, ODD)
    tried: tuple[Callable[[], object], ...] = (
        lambda: bm.conf_int(fit, level=value, method="wald"),
        lambda: bm.conf_int(fit, method=value),
        lambda: bm.half_life(fit, level=value, method="profile"),
        lambda: bm.convergence_probability(fit, horizon=value, band=other),
        lambda: bm.failure_probability(fit, horizon=value, band=10, draws=5),
        lambda: bm.failure_probability(fit, horizon=24, band=value, draws=5),
        lambda: bm.forecast(fit, horizon=value),
        lambda: bm.bootstrap(fit, value if not isinstance(value, int) or abs(value) < 1000 else 10),
        lambda: bm.bootstrap(fit, 3, n_jobs=value if not isinstance(value, int) else 1),
        lambda: bm.rolling(bm.OU(), data, value, other),
        lambda: bm.fit(bm.OU(), data, starts=value),
        lambda: bm.fit(bm.OU(), data, initial=value),
        lambda: bm.fit(bm.OU(kappa=value), data, starts=1),
        lambda: bm.fit(bm.OU(theta=value) + bm.Noise(tau=other), data, starts=1),
        lambda: bm.Switching(bm.OU(), regimes=value),
        lambda: bm.Switching(bm.OU(), varies=value),
        lambda: bm.Switching(bm.OU(), max_step=value),
        lambda: data.cut(start=value, end=other),
        lambda: data.with_mask(value),
        lambda: bm.simulate(bm.OU(), {"kappa": value, "theta": other, "sigma": 1.0}, data),
        lambda: bm.simulate(bm.OU(), value, data),
        lambda: bm.preset(value),
        lambda: bm.parse_model(value),
        lambda: bm.compare({"a": fit} if rng.random() < 0.5 else value),
        lambda: bm.fit_many(bm.OU(), value),
        lambda: bm.read(value),
        lambda: bm.read_panel(value),
        lambda: bm.from_frame(value),
        lambda: bm.load(value),
        lambda: bm.update(fit, data),
    )
    _some(rng, tried)()


def extremes(rng: np.random.Generator, folder: Path) -> None:
    """Series of any scale, speed and spacing."""
    n = int(rng.integers(5, 80))
    steps = np.cumsum(np.maximum(rng.exponential(1.0, n) * 10.0 ** rng.integers(-2, 5), 1e-3))
    stamps = pd.Timestamp("2020-01-01", tz="UTC") + pd.to_timedelta(np.round(steps * 3.6e6), unit="ms")
    y = rng.normal(size=n) if rng.random() < 0.5 else np.cumsum(rng.normal(size=n))
    y = y * float(10.0 ** rng.integers(-12, 13)) + _some(rng, (0.0, 0.0, 1e6, -1e12))
    if rng.random() < 0.3:
        y[rng.integers(0, n, n // 3)] = y[0]
    data = bm.BasisSeries.from_basis(stamps.unique(), y[: len(stamps.unique())])
    fit = bm.fit(_some(rng, (bm.OU(), bm.OU() + bm.Noise(), bm.Switching(bm.OU()))), data, starts=1)
    fit.summary()
    bm.half_life(fit, method="wald")


KINDS = (files, frames, arrays, expressions, commands, stored, calls, extremes)


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raises Hang after so much CPU time."""

    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


def case(number: int) -> str:
    """Runs one case; "" where it behaves, else what went wrong."""
    rng = np.random.default_rng([20240101, number])
    kind = KINDS[number % len(KINDS)]
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    said = ""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()), contextlib.chdir(folder), alarm(SECONDS):  # fmt: skip
            warnings.simplefilter("ignore")
            kind(rng, folder)
    except bm.BasismodelsError as error:
        said = "" if str(error).strip() and "\n" not in str(error).strip() else f"an error of several lines: {error}"
    except Hang:
        said = f"more than {SECONDS:g} s of CPU:\n{traceback.format_exc(limit=-4)}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        said = f"{type(error).__name__}: {str(error)[:200]}\n{traceback.format_exc(limit=-4)}"
    left = [name for name in os.listdir(folder) if name.startswith(".") or name.startswith("tmp")]
    shutil.rmtree(folder, ignore_errors=True)
    if left:
        said += f" left half written: {left}"
    return f"case {number} ({kind.__name__}): {said}" if said else ""


def main() -> int:
    """Runs the cases and prints each that misbehaves; exit code 1 if any does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    args = parser.parse_args()
    began, wrong, seen = time.time(), 0, Counter()
    for number in range(args.first, args.first + args.count):
        said = case(number)
        if said:
            wrong += 1
            where = said.splitlines()[-3 if len(said.splitlines()) > 3 else 0].strip()
            seen[where] += 1
            if seen[where] <= 2:
                print(said, flush=True)
    for where, count in seen.most_common():
        print(f"{count:6d}  {where}")
    print(f"{args.count:,} cases, {wrong} misbehave, {time.time() - began:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
