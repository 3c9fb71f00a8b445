"""Runs killed by SIGKILL at random moments and started again: does the last one give the bytes of one never killed?

    python tests/slow/kills.py [--kills 20]

Writes tests/slow/kills.csv: what was killed, how often it was killed while at work, and whether the bytes are equal.
"""

from __future__ import annotations

import argparse
import csv
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "sources"))

import conftest  # noqa: E402

RESULT = HERE / "kills.csv"
COMMON = """
import sys
import numpy as np
import pandas as pd
import basismodels as bm

model = bm.Switching(bm.OU())
data = bm.load_example()
data = bm.BasisSeries.from_basis(data.time, np.where(np.isfinite(data.basis), data.basis, 0.0))
"""
PROGRAMS = {
    "bootstrap": COMMON + """
fit = bm.fit(model, data, starts=2)
print("begun", flush=True)
made = bm.bootstrap(fit, 3000, rng=3, checkpoint=sys.argv[1], n_jobs=2)
np.save(sys.argv[2], made.draws)
""",
    "rolling": COMMON + """
print("begun", flush=True)
made = bm.rolling(model, data, "20D", "1h", checkpoint=sys.argv[1], n_jobs=2)
np.save(sys.argv[2], made.drop(columns="ok").to_numpy(dtype=float))
""",
    "fetch": """
import sys
from pathlib import Path
from basismodels.sources.fetch import fetch

print("begun", flush=True)
made = fetch("binance", "BTCUSDT", "2024-12", "2025-01", cache=sys.argv[1], base=sys.argv[3])
made.write(sys.argv[2], 0.0, False)
""",
}  # fmt: skip
SUFFIX = {"bootstrap": ".npy", "rolling": ".npy", "fetch": ".csv"}


def run(what: str, folder: Path, base: str, after: float | None) -> tuple[bool, float]:
    """Starts a program and kills it so many seconds after it begins; whether it was killed, and how long it took."""
    out = folder / f"out{SUFFIX[what]}"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAMS[what], str(folder / "kept"), str(out), base], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    began = time.time()
    if after is not None:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    code = process.wait()
    process.stdout.close()
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{what} ended with {code}")
    return code != 0, time.time() - began


def study(what: str, kills: int, base: str, rng: np.random.Generator) -> dict[str, object]:
    """Kills one program so often at random moments of its work, lets it end, and compares."""
    with tempfile.TemporaryDirectory() as name:
        whole, folder = Path(name) / "whole", Path(name) / "killed"
        whole.mkdir()
        folder.mkdir()
        _, seconds = run(what, whole, base, None)
        killed = sum(run(what, folder, base, rng.uniform(0.0, 1.2 * seconds / kills))[0] for _ in range(kills))
        run(what, folder, base, None)
        out = f"out{SUFFIX[what]}"
        equal = (whole / out).read_bytes() == (folder / out).read_bytes()
        left = [p.name for p in folder.rglob("*") if p.name.endswith(".part") or p.name.startswith((".", "tmp"))]
    return {"what": what, "kills": killed, "same_bytes": equal, "left_half_written": len(left)}


def archive() -> conftest.Served:
    """The archive that the tests of downloads use, each answer a little late."""
    served = conftest.Served()
    conftest.archive.__wrapped__(served)
    for path in list(served.files):
        served.first[path] = conftest.Answer(served.files[path], wait=lambda: time.sleep(0.05))
    return served


def main() -> None:
    """Prints and writes one row a program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    kills = parser.parse_args().kills
    served, rows = archive(), []
    for what in PROGRAMS:
        rows.append(study(what, kills, served.base, np.random.default_rng([1, len(rows)])))
        print(rows[-1], flush=True)
    served.close()
    with RESULT.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
