"""The command line: the same engine and the same words as the package.

Exit codes: 0 ok, 2 usage, 3 data refused, 4 fitted but not to be trusted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from basismodels._atomic import atomic
from basismodels._output import fit_payload, plain, progress, write_json
from basismodels.errors import BasismodelsError, DataError, ModelError, StoreError

if TYPE_CHECKING:
    from rich.console import Console

    from basismodels.results import Fit
    from basismodels.series import BasisSeries

OK, USAGE, REFUSED, DOUBTFUL = 0, 2, 3, 4
_MODEL = "registered name, or an expression such as 'OU() + Noise()'; default %(default)s"
_METHOD = "inversion, studentised, bootstrap, profile, wald, sandwich; default inversion, with regimes studentised"


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
    from basismodels._fetch import add_fetch

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
    add_fetch(commands)
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
    parser.add_argument(
        "--perp", default="perp", metavar="COLUMN", help="column of the perpetual's price; default perp"
    )
    parser.add_argument(
        "--reference", metavar="COLUMN", help="column of the reference price; default index, else spot"
    )
    parser.add_argument(
        "--funding", default="funding_rate", metavar="COLUMN", help="column of settled rates; default funding_rate"
    )
    parser.add_argument(
        "--initial",
        choices=("stationary", "conditional"),
        default="stationary",
        help="law of the first state; default %(default)s",
    )
    parser.add_argument(
        "--starts", type=int, default=20, metavar="N", help="starting points of the search; default 20"
    )
    parser.add_argument(
        "--depth", type=int, default=1, metavar="D", help="regimes back to which moments are matched, 1 to 4; default 1"
    )
    parser.add_argument("--level", type=float, default=0.95, help="level of the intervals; default 0.95")
    parser.add_argument("--rng", type=_seed, default=0, metavar="SEED", help="seed; default 0")


def _event_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--horizon", type=float, default=24.0, help="hours within which the basis should be back; default 24"
    )
    parser.add_argument("--band", type=float, default=10.0, help="half-width of the band in bps; default 10")


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
    parser.add_argument("--out", default="report.html", metavar="FILE", help="the report; default %(default)s")
    parser.add_argument(
        "--models", metavar="A,B", help="registered names or expressions, separated by commas"
    )
    _event_arguments(parser)
    parser.set_defaults(run=_report)


def _fit_command(commands: Any) -> None:
    parser = commands.add_parser("fit", help="fit one model by maximum likelihood")
    _data_arguments(parser)
    parser.add_argument(
        "--model",
        default="two-factor",
        metavar="M",
        help=_MODEL,
    )
    parser.add_argument("--method", metavar="NAME", help=_METHOD)
    parser.add_argument("--json", metavar="FILE", help="write the result here")
    parser.set_defaults(run=_fit)


def _compare_command(commands: Any) -> None:
    parser = commands.add_parser("compare", help="several models side by side")
    _data_arguments(parser)
    parser.add_argument(
        "--models", default="random-walk,ou,ou-noise,two-factor,switching-ou", metavar="A,B",
        help="registered names or expressions, separated by commas; default %(default)s",
    )
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
    parser.add_argument("--model", default="two-factor", metavar="M", help=_MODEL)
    parser.add_argument("--out", required=True, metavar="FILE", help="Parquet or CSV file to write")
    parser.set_defaults(run=_simulate)


def _watch_command(commands: Any) -> None:
    parser = commands.add_parser("watch", help="follow a CSV file: filter and failure probability of new rows")
    _data_arguments(parser)
    parser.add_argument("--model", default="switching-ou", metavar="M", help=_MODEL)
    parser.add_argument("--fit", metavar="STORED", help="a fit kept by bm.save, instead of fitting")
    _event_arguments(parser)
    parser.add_argument(
        "--poll", type=float, default=5.0, metavar="SECONDS", help="how often to look for new rows; default 5"
    )
    parser.add_argument("--once", action="store_true", help="end where the file ends")
    parser.set_defaults(run=_watch)


def load_data(args: argparse.Namespace) -> BasisSeries:
    """The series a command works on."""
    if args.path is None:
        from basismodels.sources.example import load_example

        return load_example(start=args.start, end=args.end)
    from basismodels.sources.files import read

    legs = {"perp": args.perp, "reference": args.reference, "funding": args.funding}
    return read(args.path, start=args.start, end=args.end, **legs)


def _console() -> Console:
    from rich.console import Console

    return Console()


def fit_model(text: str, data: BasisSeries, args: argparse.Namespace) -> Fit:
    """Fit a model given as text, with progress."""
    from basismodels.inference.mle import fit
    from basismodels.presets import parse_model

    with progress(f"fitting {text}") as tell:
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
    with progress("report") as tell:
        made = write_report(
            data, args.out, models=models, horizon=args.horizon, band=args.band, level=args.level,
            starts=args.starts, initial=args.initial, rng=args.rng, command=_command(), progress=tell,
        )  # fmt: skip
    show(made, _console())
    return OK if made.key.get("trusted", True) else DOUBTFUL


def _command() -> str:
    import shlex

    return shlex.join(["basismodels", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
