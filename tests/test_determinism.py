"""The same digits whatever the number of threads and processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long

PROGRAM = """
import hashlib
import numpy as np
import basismodels as bm

data = bm.load_example(end="2024-01-31")
digest = hashlib.sha256()
for model in (bm.OU() + bm.Noise(), bm.Switching(bm.OU()), bm.Switching(bm.OU() + bm.Noise())):
    fit = bm.fit(model, data, starts=3)
    digest.update(fit.x.tobytes() + fit.cov.tobytes() + fit.filtered.p.tobytes())
    digest.update(bm.bootstrap(fit, 45, rng=1, n_jobs={jobs}).draws.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_threads_of_blas_numba_and_workers_do_not_matter() -> None:
    said = set()
    for threads, jobs in (("1", 1), ("2", 2)):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        made = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(jobs=jobs)], env={**os.environ, **dict.fromkeys(names, threads)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        said.add(made.stdout.strip())
    assert len(said) == 1
