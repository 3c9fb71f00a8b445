"""The command `fetch`: prices and funding of a perpetual into one file."""

from __future__ import annotations

import argparse
from typing import Any

from basismodels._output import progress


def add_fetch(commands: Any) -> None:
    """Adds the command to the parser's."""
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


def _fetch(args: argparse.Namespace) -> int:
    from basismodels.sources.fetch import fetch

    with progress(f"fetching {args.symbol}") as tell:
        made = fetch(
            args.venue, args.symbol, args.start, args.end, interval=args.interval, cache=args.cache, base=args.base,
            tell=tell,
        )  # fmt: skip
    for line in made.lacks():
        print(line)
    written = made.write(args.out, args.tolerance, args.mark)
    gaps = made.gaps()
    print(f"{len(made.frame):,} rows of {args.symbol}, {made.frame.index[0]} to {made.frame.index[-1]}, in {written}")
    none = "no gaps in what was found" if made.never_found() else "no gaps"
    print(gaps.to_string(index=False) if len(gaps) else none)
    return 0
