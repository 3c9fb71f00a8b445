"""Recent bars and settled funding from any exchange that `ccxt` knows, page by page, with a loop of its own.

`ccxt`'s own `paginate=True` steps by eight hours whatever the funding interval, and loses rows of the shorter ones
without a word; and exchanges answer an HTML maintenance page with no rows at all. So every page covers a stated span,
no longer than the exchange's limit; a full page is followed from its last row; and an empty page counts as empty only
where the answer behind it is JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from basismodels.errors import DataError, ModelError
from basismodels.sources._gather import Gathered, Tell, span_of, tidy

INTERVALS = {"1m": "1min", "5m": "5min", "15m": "15min", "1h": "1h", "4h": "4h", "1d": "1D"}
_SYMBOL = re.compile(r"[A-Za-z0-9._]{1,30}/[A-Za-z0-9._]{1,30}(:[A-Za-z0-9._-]{1,30})?")
_HOUR = 3_600_000
_LIMIT, _FUNDING_LIMIT = 500, 100
Row = list[Any]
Page = Callable[[int, int, int], list[Row]]


def fetch_exchange(
    exchange: str,
    symbol: str,
    start: str,
    end: str,
    *,
    interval: str = "1h",
    cache: str | Path | None = None,
    client: Any = None,
    tell: Tell = lambda done, total: None,
) -> Gathered:
    """Bars and funding of a perpetual through `ccxt`, with its spot market where the exchange has one.

    `symbol` in ccxt's words, such as BTC/USDT:USDT; columns as `fetch_binance` gives them, without what the exchange
    lacks; `client`: a ccxt exchange made elsewhere. `cache` is not used: exchanges answer anew each time.
    Errors: ModelError for an unknown exchange, symbol or interval; DataError where it refuses or answers nonsense.
    """
    del cache
    if not _SYMBOL.fullmatch(symbol):
        raise ModelError(f"{symbol!r} is no symbol of ccxt", remedy="such as BTC/USDT:USDT")
    if interval not in INTERVALS:
        raise ModelError(f"interval must be one of {', '.join(INTERVALS)}, got {interval!r}")
    first, last = span_of(start, end)
    step = pd.Timedelta(INTERVALS[interval])
    link = client if client is not None else _client(exchange)
    wanted = _wanted(link, symbol)
    parts = []
    for i, (column, market, price) in enumerate(wanted):
        page = _bars_page(link, market, interval, price)
        made = _bars(_walk(page, first, last, int(step / pd.Timedelta("1ms")), _LIMIT, link), column, step)
        if made is not None:
            parts.append(made)
        elif column == "perp":
            raise DataError(f"{exchange} has no bars of {symbol} from {start} to {end}", remedy="another span")
        tell(i + 1, len(wanted) + 1)
    if link.has.get("fetchFundingRateHistory"):
        rows = _walk(_funding_page(link, symbol), first, last, _HOUR, _FUNDING_LIMIT, link)
        settled = _funding(rows)
        if settled is not None:
            parts.append(settled)
    tell(len(wanted) + 1, len(wanted) + 1)
    frame = tidy(parts, first + step, last)
    return Gathered(frame, step, first, last, {"venue": f"ccxt:{exchange}", "symbol": symbol, "interval": interval})


def _client(exchange: str) -> Any:
    import ccxt

    if exchange not in ccxt.exchanges:
        raise ModelError(f"ccxt knows no exchange {exchange!r}", remedy="basismodels fetch ccxt:bybit ...")
    link = getattr(ccxt, exchange)({"options": {"maxRetriesOnFailure": 5, "maxRetriesOnFailureDelay": 1000}})
    try:
        link.load_markets()
    except ccxt.BaseError as error:
        raise DataError(f"{exchange} cannot be reached: {_line(error)}", remedy="try again later") from error
    return link


def _wanted(link: Any, symbol: str) -> list[tuple[str, str, str | None]]:
    """Column, market and kind of price of what there is to fetch."""
    markets = link.markets or {}
    if symbol not in markets:
        raise ModelError(f"{link.id} has no market {symbol}", rows=[m for m in markets if m[:3] == symbol[:3]])
    spot = symbol.split(":")[0]
    out: list[tuple[str, str, str | None]] = [("perp", symbol, None)]
    if spot in markets and spot != symbol:
        out.append(("spot", spot, None))
    kinds = (("index", "fetchIndexOHLCV"), ("mark", "fetchMarkOHLCV"), ("premium", "fetchPremiumIndexOHLCV"))
    prices = {"index": "index", "mark": "mark", "premium": "premiumIndex"}
    return out + [(column, symbol, prices[column]) for column, ability in kinds if link.has.get(ability)]


def _bars_page(link: Any, market: str, interval: str, price: str | None) -> Page:
    def page(since: int, until: int, limit: int) -> list[Row]:
        extra: dict[str, Any] = {"until": until} | ({"price": price} if price else {})
        rows: list[Row] = link.fetch_ohlcv(market, interval, since, limit, extra)
        return rows

    return page


def _funding_page(link: Any, symbol: str) -> Page:
    def page(since: int, until: int, limit: int) -> list[Row]:
        found = link.fetch_funding_rate_history(symbol, since, limit, {"until": until})
        return [[row["timestamp"], row["fundingRate"]] for row in found]

    return page


def _walk(page: Page, first: pd.Timestamp, last: pd.Timestamp, step: int, limit: int, link: Any) -> list[Row]:
    """Every row from first to last, in spans of as many steps (ms) as a page may hold; an empty one ends nothing."""
    begin, stop = (int(t.timestamp() * 1000) for t in (first, last))
    rows: dict[int, Row] = {}
    cursor = begin
    while cursor <= stop:
        until = min(cursor + (limit - 1) * step, stop)
        found = _span(page, cursor, until, step, limit, link)
        for row in found:
            if rows.setdefault(int(row[0]), row)[1:] != row[1:]:
                raise DataError(f"{link.id}: two rows of one time disagree", rows=[pd.Timestamp(row[0], unit="ms")])
        newest = max((int(row[0]) for row in found), default=until)
        cursor = newest + 1 if newest + step <= until else until + 1
    return [rows[t] for t in sorted(rows) if begin <= t <= stop]


def _span(page: Page, since: int, until: int, step: int, limit: int, link: Any) -> list[Row]:
    """Rows of one span; where they begin late, what is before them is asked for too, as some give the newest first."""
    found = _asked(page, since, until, limit, link)
    oldest = min((int(row[0]) for row in found), default=since)
    while oldest - step >= since:
        before = _asked(page, since, oldest - 1, limit, link)
        if not before:
            break
        found += before
        oldest = min(int(row[0]) for row in before)
    return found


def _asked(page: Page, since: int, until: int, limit: int, link: Any) -> list[Row]:
    """One page, its rows outside the span left out; DataError where the exchange refuses or answers a page of HTML."""
    import ccxt

    try:
        found = page(since, until, limit)
    except ccxt.BaseError as error:
        raise DataError(
            f"{link.id} refuses: {type(error).__name__} {_line(error)}", remedy="try again later"
        ) from error
    if any(row[0] is None for row in found):
        raise DataError(
            f"{link.id} answers a row without a time",
            rows=[f"page from {pd.Timestamp(since, unit='ms', tz='UTC')}"], remedy="try again later",
        )  # fmt: skip
    said = str(getattr(link, "last_http_response", "") or "").lstrip()
    if not found and said[:1] not in ("[", "{"):
        raise DataError(
            f"{link.id} answers no data but {' '.join(said.split())[:60]!r}; that is not the end of history",
            rows=[pd.Timestamp(since, unit="ms", tz="UTC")], remedy="try again later",
        )  # fmt: skip
    return [row for row in found if since <= int(row[0]) <= until]


def _bars(rows: list[Row], column: str, step: pd.Timedelta) -> pd.DataFrame | None:
    """Close, and volume of the traded prices, by bar close; None if there are no rows.

    The bar that is still open is left out, and a bar without a close, which then counts as missing.
    """
    now = pd.Timestamp.now(tz="UTC")
    rows = [row for row in rows if row[4] is not None]
    if not rows:
        return None
    opened = pd.DatetimeIndex(pd.to_datetime([int(row[0]) for row in rows], unit="ms", utc=True))
    time = (opened + step).as_unit("us")
    frame = pd.DataFrame({column: [float(row[4]) for row in rows]}, index=time)
    if column in ("perp", "spot"):
        frame[f"volume_{column}"] = [np.nan if row[5] is None else float(row[5]) for row in rows]
    return frame[frame.index <= now].rename_axis("time")


def _funding(rows: list[Row]) -> pd.DataFrame | None:
    """Settled rates by stamp, to the minute; one without a rate is left out, which then counts as missing."""
    rows = [row for row in rows if row[1] is not None]
    if not rows:
        return None
    time = pd.DatetimeIndex(pd.to_datetime([int(row[0]) for row in rows], unit="ms", utc=True)).as_unit("us")
    return pd.DataFrame({"funding_rate": [float(row[1]) for row in rows]}, index=time.floor("min")).rename_axis("time")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
