"""Runs the coverage study: `python tests/slow/coverage.py --cells ou --reps 2000`; see coverage_study.py."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    # the matrices are tiny: threads of the linear algebra library would only wait for each other
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # numba looks for a package of this file's name, and must not find this file
    sys.path = [p for p in sys.path if Path(p).resolve() != HERE]
    runpy.run_path(str(HERE / "coverage_study.py"), run_name="__main__")
