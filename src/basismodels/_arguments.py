"""What may be written on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

_MODEL = "registered name, or an expression such as 'OU() + Noise()'; default %(default)s"
_METHOD = "inversion, studentised, bootstrap, profile, wald, sandwich; default inversion, with regimes studentised"


def parser_of(run: Mapping[str, Callable[[argparse.Namespace], int]]) -> argparse.ArgumentParser:
    """The parser; `run`: what each command does, by its name."""
    from basismodels import __version__
    from basismodels._fetch import add_fetch

    parser = argparse.ArgumentParser(
        prog="basismodels",
        description="How fast, how surely and whether a perpetual future's price converges to spot.",
        epilog="Without PATH a command uses the embedded example, which is simulated.",
    )
    parser.add_argument("--version", action="version", version=f"basismodels {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    for add in (_report, _fit, _compare, _check, _simulate, add_fetch, _watch):
        add(commands)
    for name, work in run.items():
        commands.choices[name].set_defaults(run=work)
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
    parser.add_argument(
        "--band", type=float, help="half-width of the band in bps; default 10 and the funding rule's damper, if any"
    )
    parser.add_argument(
        "--target", type=float, help="its middle in bps; default the interest of the funding rule, 0 without one"
    )


def _seed(text: str) -> int:
    """A seed of the random numbers; argparse turns a ValueError into its own message."""
    if not 0 <= int(text) < 2**128:
        raise ValueError(text)
    return int(text)


def _report(commands: Any) -> None:
    parser = commands.add_parser(
        "report", help="everything in one HTML file, and the key figures on the terminal"
    )
    _data_arguments(parser)
    parser.add_argument("--out", default="report.html", metavar="FILE", help="the report; default %(default)s")
    parser.add_argument(
        "--models", metavar="A,B", help="registered names or expressions, separated by commas"
    )
    _event_arguments(parser)


def _fit(commands: Any) -> None:
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


def _compare(commands: Any) -> None:
    parser = commands.add_parser("compare", help="several models side by side")
    _data_arguments(parser)
    parser.add_argument(
        "--models", default="random-walk,ou,ou-noise,two-factor,switching-ou", metavar="A,B",
        help="registered names or expressions, separated by commas; default %(default)s",
    )
    parser.add_argument("--json", metavar="FILE", help="write the table here")


def _check(commands: Any) -> None:
    parser = commands.add_parser("check", help="what is wrong with the data, and which rows a fit leaves out")
    _data_arguments(parser)
    parser.add_argument("--json", metavar="FILE", help="write the findings here")


def _simulate(commands: Any) -> None:
    parser = commands.add_parser("simulate", help="simulate a fitted model at the data's own times")
    _data_arguments(parser)
    parser.add_argument("--model", default="two-factor", metavar="M", help=_MODEL)
    parser.add_argument("--out", required=True, metavar="FILE", help="Parquet or CSV file to write")


def _watch(commands: Any) -> None:
    parser = commands.add_parser("watch", help="follow a CSV file: filter and failure probability of new rows")
    _data_arguments(parser)
    parser.add_argument("--model", default="switching-ou", metavar="M", help=_MODEL)
    parser.add_argument("--fit", metavar="STORED", help="a fit kept by bm.save, instead of fitting")
    _event_arguments(parser)
    parser.add_argument(
        "--poll", type=float, default=5.0, metavar="SECONDS", help="how often to look for new rows; default 5"
    )
    parser.add_argument("--once", action="store_true", help="end where the file ends")
