"""Where data come from: files, exchanges, the embedded example."""

from __future__ import annotations
