"""Downloads by the name of their venue."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from basismodels.errors import ModelError
from basismodels.sources._gather import Gathered, Tell


def fetch(
    venue: str,
    symbol: str,
    start: str,
    end: str,
    *,
    interval: str = "1h",
    cache: str | Path | None = None,
    base: str | None = None,
    tell: Tell = lambda done, total: None,
) -> Gathered:
    """What a venue has of a perpetual: "binance" from its public archive, "ccxt:EXCHANGE" through `ccxt`.

    Arguments as in `fetch_binance` and `fetch_exchange`; `.write(out, tolerance, mark)` writes the table. Errors:
    ModelError for an unknown venue or a missing library.
    """
    name, _, exchange = venue.partition(":")
    if name == "binance" and not exchange:
        _require("pooch")
        import pooch

        from basismodels.sources.binance import BASE, fetch_binance

        kept = cache or pooch.os_cache("basismodels") / "binance"
        return fetch_binance(symbol, start, end, interval=interval, cache=kept, base=base or BASE, tell=tell)
    if name == "ccxt" and exchange:
        _require("ccxt")
        from basismodels.sources.exchanges import fetch_exchange

        return fetch_exchange(exchange, symbol, start, end, interval=interval, tell=tell)
    raise ModelError(f"no venue {venue!r}", remedy="binance, or ccxt:EXCHANGE such as ccxt:bybit")


def _require(library: str) -> None:
    if find_spec(library) is None:
        raise ModelError(f"downloads need {library}", remedy='pip install "basismodels[data]"')
