"""The command line: the same engine and the same words as the package.

Exit codes: 0 ok, 2 usage, 3 data refused, 4 fitted but not to be trusted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from basismodels._arguments import parser_of
from basismodels._atomic import atomic
from basismodels._output import fit_payload, plain, progress, write_json
from basismodels.errors import BasismodelsError, DataError, ModelError, StoreError

if TYPE_CHECKING:
    from rich.console import Console

    from basismodels.results import Fit
    from basismodels.series import BasisSeries

OK, USAGE, REFUSED, DOUBTFUL = 0, 2, 3, 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = parser_of(_RUN)
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
    from basismodels.problem import known_to_all
    from basismodels.scoring.table import compare

    models = {name: parse_model(name) for name in split_models(args.models)}
    data = known_to_all(models.values(), load_data(args), initial=args.initial)
    fits = {name: fit_model(name, data, args) for name in models}
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
            data, args.out, models=models, horizon=args.horizon, band=args.band, target=args.target,
            level=args.level, starts=args.starts, initial=args.initial, rng=args.rng, command=_command(), progress=tell,
        )  # fmt: skip
    show(made, _console())
    return OK if made.key.get("trusted", True) else DOUBTFUL


def _command() -> str:
    import shlex

    return shlex.join(["basismodels", *sys.argv[1:]])


_RUN = {
    "report": _report, "fit": _fit, "compare": _compare, "check": _check, "simulate": _simulate, "watch": _watch,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
