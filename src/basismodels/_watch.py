"""The command `watch`: JSON lines of the rows appended to a file, until it is told to end."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from basismodels.errors import DataError, ModelError
from basismodels.estimands.live import Live
from basismodels.results import Fit
from basismodels.sources.tail import Tail, after


def watch(args: argparse.Namespace, fit: Fit, plain: Callable[[Any], Any]) -> None:
    """Writes one line a row to standard output; ends at SIGINT or SIGTERM, or with `--once` at the file's end."""
    if not args.poll > 0:
        raise ModelError(f"poll must be a positive number of seconds, got {args.poll!r}")
    live = Live.of(fit, args.horizon, args.band, args.target)
    tail = Tail(args.path, perp=args.perp, reference=args.reference, funding=args.funding)
    if sys.stderr.isatty():
        since = f"{fit.data.time[-1]:%Y-%m-%d %H:%M} UTC"
        print(f"{fit!r}; back into {live.event}; a line for each row after {since}", file=sys.stderr)
    with _told_to_end() as ended:
        known: Any = fit.data.time[-1]
        while not ended.is_set():
            for record in _records(live, tail, known, ended):
                print(json.dumps(plain(record), allow_nan=False))
            sys.stdout.flush()
            known = None
            if args.once:
                return
            ended.wait(args.poll)


def _records(live: Live, tail: Tail, known: Any, ended: threading.Event) -> Iterator[dict[str, Any]]:
    """A record a row that arrived; `known`: stamp up to which rows are passed over, being those of the fit."""
    for block in tail.blocks():
        if ended.is_set():
            return
        if isinstance(block, DataError):
            yield {"error": str(block)}
            continue
        rows = block if known is None else after(block, known)
        if rows is not None:
            try:
                yield from live.add(rows)
            except DataError as error:
                yield {"error": str(error)}


@contextmanager
def _told_to_end() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that the block in work is finished first."""
    ended = threading.Event()
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
