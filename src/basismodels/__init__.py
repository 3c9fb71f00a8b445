"""How fast, how surely and whether a perpetual future's price converges to spot."""

from __future__ import annotations

__version__ = "0.1.0"
