"""An archive on loopback that serves files in the recorded format, and can misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import zipfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

HEADER = ("open_time,open,high,low,close,volume,close_time,quote_volume,count,"
          "taker_buy_volume,taker_buy_quote_volume,ignore")  # fmt: skip
FUNDING_HEADER = "calc_time,funding_interval_hours,last_funding_rate"


class Answer:
    """What the server says at one path: a status, a body, a header, and how often before it behaves."""

    def __init__(self, body=b"", status=200, headers=None, times=None, cut=False, wait=None):
        self.body, self.status, self.headers = body, status, headers or {}
        self.times, self.cut, self.wait = times, cut, wait


class Served:
    """Files by path, answers that come first, and how often each path was asked for."""

    def __init__(self):
        self.files, self.first, self.asked = {}, {}, Counter()
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                served.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}/data"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def answer(self, handler):
        path = handler.path.removeprefix("/data/")
        self.asked[path] += 1
        found = self.first.get(path)
        if found is not None and found.times is not None:
            found.times -= 1
            if found.times < 0:
                found = None
        if found is None:
            found = Answer(self.files[path]) if path in self.files else Answer(b"<html>no</html>", 404)
        if found.wait is not None:
            found.wait()
        handler.send_response(found.status)
        handler.send_header("Content-Length", str(len(found.body)))
        handler.send_header("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
        for name, value in found.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        with contextlib.suppress(ConnectionError):
            handler.wfile.write(found.body[: len(found.body) // 2] if found.cut else found.body)

    def put(self, path, content, digest=None):
        self.files[path] = content
        said = digest or hashlib.sha256(content).hexdigest()
        self.files[f"{path}.CHECKSUM"] = f"{said}  {path.rsplit('/', 1)[1]}\n".encode()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def served():
    made = Served()
    yield made
    made.close()


def zipped(name, text):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


def klines(time, close, *, unit="ms", header=True, volume=10.0):
    """Bars as text in the recorded format; `time`: when they open."""
    scale = {"ms": 1_000, "us": 1_000_000}[unit]
    opened = np.asarray((time - pd.Timestamp(0, tz="UTC")) / np.timedelta64(1, "s")).astype(np.int64)
    shut = opened * scale + 3600 * scale - 1
    rows = [f"{a * scale},{c},{c},{c},{c},{volume},{b},1000,5,3,300,0"
            for a, b, c in zip(opened, shut, close, strict=True)]  # fmt: skip
    return "\n".join([HEADER, *rows] if header else rows) + "\n"


def funding_text(time, hours, rate, *, header=True):
    stamp = np.asarray((time - pd.Timestamp(0, tz="UTC")) / np.timedelta64(1, "ms")).astype(np.int64) + 3
    rows = [f"{a},{h},{r:.8f}" for a, h, r in zip(stamp, hours, rate, strict=True)]
    return "\n".join([FUNDING_HEADER, *rows] if header else rows) + "\n"


def paths(kind, month, daily=False):
    """Folder and stem of one file of BTCUSDT, as the archive lays them out."""
    root, _, what = kind.partition("|")
    span = "daily" if daily else "monthly"
    if what == "fundingRate":
        return f"{root}/{span}/{what}/BTCUSDT", f"BTCUSDT-fundingRate-{month}"
    return f"{root}/{span}/{what}/BTCUSDT/1h", f"BTCUSDT-1h-{month}"


KINDS = {
    "perp": "futures/um|klines", "spot": "spot|klines", "index": "futures/um|indexPriceKlines",
    "mark": "futures/um|markPriceKlines", "premium": "futures/um|premiumIndexKlines",
}  # fmt: skip


def prices(month, seed=0):
    """Opening times of a month's hours, and closes by kind."""
    period = pd.Period(month)
    time = pd.date_range(period.start_time, period.end_time, freq="h", tz="UTC")
    rng = np.random.default_rng(seed + period.ordinal)
    spot = np.round(4e4 + np.cumsum(rng.normal(0, 20, len(time))), 2)
    perp = np.round(spot * (1 + rng.normal(0, 5e-4, len(time))), 2)
    return time, {"perp": perp, "spot": spot, "index": spot, "mark": perp, "premium": np.round(perp / spot - 1, 8)}


@pytest.fixture
def archive(served):
    """Two months of BTCUSDT: spot stamps in microseconds from 2025, older futures files without a header."""
    for month in ("2024-12", "2025-01"):
        time, close = prices(month)
        for column, kind in KINDS.items():
            folder, stem = paths(kind, month)
            unit = "us" if column == "spot" and month == "2025-01" else "ms"
            text = klines(time, close[column], unit=unit, header=column != "spot" and month == "2025-01")
            served.put(f"{folder}/{stem}.zip", zipped(f"{stem}.csv", text))
        folder, stem = paths("futures/um|fundingRate", month)
        # from 2025-01-15 the interval is four hours
        settled = time[::8] if month == "2024-12" else time[::8][:42].append(time[14 * 24 :: 4])
        hours = np.where((settled > pd.Timestamp("2025-01-15", tz="UTC")), 4, 8)
        text = funding_text(settled, hours, np.full(len(settled), 1e-4))
        served.put(f"{folder}/{stem}.zip", zipped(f"{stem}.csv", text))
    return served
