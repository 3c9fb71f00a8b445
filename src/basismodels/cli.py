"""The command line: the same engine and the same words as the package.

Exit codes: 0 ok, 2 usage, 3 data refused, 4 fitted but not to be trusted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basismodels.errors import BasismodelsError, DataError, ModelError, StoreError

if TYPE_CHECKING:
    from rich.console import Console

    from basismodels.results import Fit
    from basismodels.series import BasisSeries

OK, USAGE, REFUSED, DOUBTFUL = 0, 2, 3, 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if getattr(args, "run", None) is None:
        parser.print_help()
        return USAGE
    try:
        return int(args.run(args))
    except (DataError, StoreError) as error:
        print(f"basismodels: {error}", file=sys.stderr)
        return REFUSED
    except (ModelError, BasismodelsError) as error:
        print(f"basismodels: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("basismodels: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    from basismodels import __version__

    parser = argparse.ArgumentParser(
        prog="basismodels",
        description="How fast, how surely and whether a perpetual future's price converges to spot.",
        epilog="Without PATH a command uses the embedded example, which is simulated.",
    )
    parser.add_argument("--version", action="version", version=f"basismodels {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    _report_command(commands)
    _fit_command(commands)
    _compare_command(commands)
    _check_command(commands)
    _simulate_command(commands)
    _fetch_command(commands)
    _watch_command(commands)
    return parser


def _data_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="Parquet or CSV file; default: the embedded example"
    )
    parser.add_argument("--start", metavar="TIME", help="first time in use (UTC)")
    parser.add_argument(
        "--end", metavar="TIME", help="last time in use (UTC); a date alone includes that day"
    )
    parser.add_argument("--perp", default="perp", metavar="COLUMN", help="column of the perpetual's price")
    parser.add_argument(
        "--reference", metavar="COLUMN", help="column of the reference price; default index, else spot"
    )
    parser.add_argument(
        "--initial",
        choices=("stationary", "conditional"),
        default="stationary",
        help="law of the first state",
    )
    parser.add_argument("--starts", type=int, default=20, metavar="N", help="starting points of the search")
    parser.add_argument(
        "--depth", type=int, default=1, metavar="D", help="last regimes over which moments are matched, 1 to 4"
    )
    parser.add_argument("--level", type=float, default=0.95, help="level of the intervals")
    parser.add_argument("--rng", type=_seed, default=0, metavar="SEED", help="seed")


def _seed(text: str) -> int:
    """A seed of the random numbers; argparse turns a ValueError into its own message."""
    if not 0 <= int(text) < 2**128:
        raise ValueError(text)
    return int(text)


def _report_command(commands: Any) -> None:
    parser = commands.add_parser(
        "report", help="everything in one HTML file, and the key figures on the terminal"
    )
    _data_arguments(parser)
    parser.add_argument("--out", default="report.html", metavar="FILE", help="where the report goes")
    parser.add_argument(
        "--models", metavar="A,B", help="registered names or expressions, separated by commas"
    )
    parser.add_argument(
        "--horizon", type=float, default=24.0, help="hours within which the basis should be back"
    )
    parser.add_argument("--band", type=float, default=10.0, help="half-width of the band in bps")
    parser.set_defaults(run=_report)


def _fit_command(commands: Any) -> None:
    parser = commands.add_parser("fit", help="fit one model by maximum likelihood")
    _data_arguments(parser)
    parser.add_argument(
        "--model",
        default="two-factor",
        metavar="M",
        help="registered name, or an expression such as 'OU() + Noise()'",
    )
    parser.add_argument("--method", metavar="NAME", help="intervals: profile, wald")
    parser.add_argument("--json", metavar="FILE", help="write the result here")
    parser.set_defaults(run=_fit)


def _compare_command(commands: Any) -> None:
    parser = commands.add_parser("compare", help="several models side by side")
    _data_arguments(parser)
    parser.add_argument("--models", default="random-walk,ou,ou-noise,two-factor,switching-ou", metavar="A,B")
    parser.add_argument("--json", metavar="FILE", help="write the table here")
    parser.set_defaults(run=_compare)


def _check_command(commands: Any) -> None:
    parser = commands.add_parser("check", help="what is wrong with the data, and which rows a fit leaves out")
    _data_arguments(parser)
    parser.add_argument("--json", metavar="FILE", help="write the findings here")
    parser.set_defaults(run=_check)


def _simulate_command(commands: Any) -> None:
    parser = commands.add_parser("simulate", help="simulate a fitted model at the data's own times")
    _data_arguments(parser)
    parser.add_argument("--model", default="two-factor", metavar="M")
    parser.add_argument("--out", required=True, metavar="FILE", help="Parquet or CSV file to write")
    parser.set_defaults(run=_simulate)


def _fetch_command(commands: Any) -> None:
    parser = commands.add_parser("fetch", help="download prices and funding of a perpetual into one file")
    parser.add_argument("venue", metavar="VENUE", help="binance (the public archive), or ccxt:EXCHANGE (recent data)")
    parser.add_argument("symbol", metavar="SYMBOL", help="such as BTCUSDT; for ccxt such as BTC/USDT:USDT")
    parser.add_argument("--start", required=True, metavar="MONTH", help="first month or day, such as 2020-01")
    parser.add_argument("--end", required=True, metavar="MONTH", help="last month or day, included")
    parser.add_argument("--out", required=True, metavar="FILE", help="Parquet or CSV file; a manifest goes beside it")
    parser.add_argument("--interval", default="1h", help="length of a bar, such as 1m, 5m, 1h")
    parser.add_argument("--tolerance", type=float, default=0.01, help="share of missing bars above which it is refused")
    parser.add_argument("--mark", action="store_true", help="write missing bars too, marked in a column gap")
    parser.add_argument("--cache", metavar="FOLDER", help="where downloaded files are kept")
    parser.add_argument("--base", metavar="URL", help="another address of the archive")
    parser.set_defaults(run=_fetch)


def _watch_command(commands: Any) -> None:
    parser = commands.add_parser("watch", help="follow a CSV file: filter and failure probability of new rows")
    _data_arguments(parser)
    parser.add_argument("--model", default="switching-ou", metavar="M", help="model fitted to what is there at first")
    parser.add_argument("--fit", metavar="STORED", help="a fit kept by bm.save, instead of fitting")
    parser.add_argument("--horizon", type=float, default=24.0, help="hours within which the basis should be back")
    parser.add_argument("--band", type=float, default=10.0, help="half-width of the band in bps")
    parser.add_argument("--poll", type=float, default=5.0, metavar="SECONDS", help="how often to look for new rows")
    parser.add_argument("--once", action="store_true", help="end where the file ends")
    parser.set_defaults(run=_watch)


def load_data(args: argparse.Namespace) -> BasisSeries:
    """The series a command works on."""
    if args.path is None:
        from basismodels.sources.example import load_example

        return load_example(start=args.start, end=args.end)
    from basismodels.sources.files import read

    return read(args.path, start=args.start, end=args.end, perp=args.perp, reference=args.reference)


def _console() -> Console:
    from rich.console import Console

    return Console()


@contextmanager
def _progress(title: str) -> Iterator[Any]:
    """A progress display on a terminal, nothing elsewhere; yields a callable (done, total)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def fit_model(text: str, data: BasisSeries, args: argparse.Namespace) -> Fit:
    """Fit a model given as text, with progress."""
    from basismodels.inference.mle import fit
    from basismodels.presets import parse_model

    with _progress(f"fitting {text}") as tell:
        return fit(
            parse_model(text), data, starts=args.starts, initial=args.initial, depth=args.depth, rng=args.rng,
            progress=tell,
        )  # fmt: skip


def _fit(args: argparse.Namespace) -> int:
    from basismodels.inference.intervals import checked_level

    checked_level(args.level)
    data = load_data(args)
    found = fit_model(args.model, data, args)
    payload = fit_payload(found, args.model, args.level, args.method)
    if args.json:
        write_json(payload, args.json)
    print(_simulated(data) + found.summary())
    print()
    for part in (payload["half_life_total"], *payload["half_life"]):
        where = "" if part["regime"] is None else f" regime {part['regime']}"
        numbers = ", ".join(_short(part[key]) for key in ("lower", "upper"))
        how = f"{args.level:.0%} {part['method']}: {numbers}"
        print(f"half-life {part['component']}{where}: {_short(part['value'])} h ({how})")
    return OK if found.ok else DOUBTFUL


def _short(value: float) -> str:
    return f"{value:.4g}"


def _simulated(data: BasisSeries) -> str:
    return "SIMULATED DATA\n" if data.provenance.get("simulated") else ""


def fit_payload(fit: Fit, text: str, level: float, method: str | None = None) -> dict[str, Any]:
    """The result of a fit as plain data, in the stable form of the command line's JSON."""
    from basismodels.estimands.convergence import half_life
    from basismodels.inference.intervals import conf_int

    with _progress("intervals") as tell:
        limits = conf_int(fit, method=method, level=level, progress=tell)
        total, *parts = half_life(fit, level=level, method=method, progress=tell)
    params = {
        name: {
            "estimate": float(fit.params[name]),
            "se": float(fit.bse[name]),
            "lower": float(limits["lower"][name]),
            "upper": float(limits["upper"][name]),
            "unit": unit,
        }
        for name, unit in zip(fit.names, fit.units, strict=True)
    }
    return {
        "model": text,
        "expression": repr(fit.model),
        "nobs": fit.nobs,
        "llf": fit.llf,
        "aic": fit.aic,
        "bic": fit.bic,
        "ok": fit.ok,
        "engine": fit.problem.engine.name,
        "exact": fit.problem.engine.exact,
        "initial": fit.problem.initial,
        "depth": fit.problem.layout.depth,
        "level": level,
        "interval_method": str(limits["method"].iloc[0]) if len(limits) else "none",
        "diagnostics": [{"code": d.code, "text": d.text, "fatal": d.fatal} for d in fit.diagnostics],
        "params": params,
        "half_life": [_estimate(part) for part in parts],
        "half_life_total": _estimate(total),
        "data": {
            "fingerprint": fit.data.fingerprint,
            "simulated": bool(fit.data.provenance.get("simulated")),
        },
    }


def _estimate(one: Any) -> dict[str, Any]:
    keys = ("component", "regime", "value", "lower", "upper", "unit", "method")
    return {key: getattr(one, key) for key in keys}


def _compare(args: argparse.Namespace) -> int:
    from basismodels.presets import parse_model, split_models
    from basismodels.scoring.table import compare

    names = split_models(args.models)
    for name in names:
        parse_model(name)
    data = load_data(args)
    fits = {name: fit_model(name, data, args) for name in names}
    frame = compare(fits, level=args.level)
    if args.json:
        write_json(
            [{"model": name, **row} for name, row in zip(frame.index, frame.to_dict("records"), strict=True)],
            args.json,
        )
    shown = frame.drop(columns=["aicc", "hqic"])
    print(
        _simulated(data) + shown.to_string(float_format=lambda v: f"{v:.4f}" if abs(v) < 10 else f"{v:.1f}")
    )
    return OK if bool(frame["ok"].all()) else DOUBTFUL


def _check(args: argparse.Namespace) -> int:
    from basismodels.quality import check

    data = load_data(args)
    quality = check(data) if args.path is None else _as_read(data)
    if args.json:
        write_json(quality.to_json_dict(), args.json)
    table = quality.table()
    print(_simulated(data) + (table.to_string(index=False) if len(table) else "nothing found"))
    print(f"{int(quality.mask.sum()):,} of {data.n:,} rows are left out of a fit")
    return OK


def _as_read(data: BasisSeries) -> Any:
    """The check that `read` made of the whole file, cut to the rows in use."""
    from basismodels.quality import Quality

    return Quality(data.findings, data.mask, data.time)


def _simulate(args: argparse.Namespace) -> int:
    from basismodels.inference.simulate import simulate

    data = load_data(args)
    found = fit_model(args.model, data, args)
    made = simulate(found.model, found.params, data, initial=args.initial, rng=args.rng)
    frame = made.covariates.assign(basis=made.basis).rename_axis("time").reset_index()
    with atomic(args.out) as path:
        if str(args.out).endswith(".csv"):
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)
    print(f"{len(frame):,} simulated rows of {args.model} in {args.out}")
    return OK if found.ok else DOUBTFUL


def _fetch(args: argparse.Namespace) -> int:
    from basismodels.sources.fetch import fetch

    with _progress(f"fetching {args.symbol}") as tell:
        made = fetch(
            args.venue, args.symbol, args.start, args.end, interval=args.interval, cache=args.cache, base=args.base,
            tell=tell,
        )  # fmt: skip
    written = made.write(args.out, args.tolerance, args.mark)
    gaps = made.gaps()
    print(f"{len(made.frame):,} rows of {args.symbol}, {made.frame.index[0]} to {made.frame.index[-1]}, in {written}")
    print(gaps.to_string(index=False) if len(gaps) else "no gaps")
    return OK


def _watch(args: argparse.Namespace) -> int:
    from basismodels._watch import watch
    from basismodels.store import load

    if args.path is None:
        raise ModelError("watch needs the PATH of a CSV file to follow")
    found = load(args.fit) if args.fit else fit_model(args.model, load_data(args), args)
    watch(args, found, plain)
    return OK if found.ok else DOUBTFUL


def _report(args: argparse.Namespace) -> int:
    from basismodels.presets import split_models
    from basismodels.report.html import DEFAULT_MODELS, write_report
    from basismodels.report.text import show

    data = load_data(args)
    models = tuple(split_models(args.models)) if args.models else DEFAULT_MODELS
    with _progress("report") as tell:
        made = write_report(
            data, args.out, models=models, horizon=args.horizon, band=args.band, level=args.level,
            starts=args.starts, initial=args.initial, rng=args.rng, command=_command(), progress=tell,
        )  # fmt: skip
    show(made, _console())
    return OK if made.key.get("trusted", True) else DOUBTFUL


def _command() -> str:
    import shlex

    return shlex.join(["basismodels", *sys.argv[1:]])


def plain(value: Any) -> Any:
    """Plain JSON data: non-finite numbers as "inf", "-inf", "nan"; times as ISO 8601 with Z."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    return value


def write_json(payload: Any, path: str) -> None:
    """Writes JSON whole or not at all; "-" is standard output."""
    text = json.dumps(plain(payload), indent=2, allow_nan=False)
    if path == "-":
        print(text)
        return
    with atomic(path) as temporary:
        Path(temporary).write_text(text + "\n", encoding="utf-8")


@contextmanager
def atomic(path: str | Path) -> Iterator[str]:
    """A temporary name beside `path` that takes its place on success; nothing stays behind on failure."""
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent or Path(), prefix=f".{target.name}.")
    except OSError as error:
        raise ModelError(
            f"cannot write {target}: {error.strerror}", remedy="choose a folder that exists"
        ) from error
    os.close(handle)
    try:
        yield name
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    sys.exit(main())
