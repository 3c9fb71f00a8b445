"""A cluster on loopback gives the bytes of one machine, also where a worker is killed on the way."""

from __future__ import annotations

import os
import signal
import threading
import time

import pandas as pd
import pytest

import basismodels as bm

pytestmark = pytest.mark.long

distributed = pytest.importorskip("distributed")
TRUTH = {"kappa": 0.4, "theta": 0.0, "sigma": 2.0, "slow.kappa": 0.01, "slow.sigma": 0.3, "tau": 0.5}
MODEL = bm.OU() + bm.SlowOU() + bm.Noise()


@pytest.fixture
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_gives_the_same_bytes_though_a_worker_is_killed(client, tmp_path):
    from joblib import parallel_config

    times = pd.date_range("2024-01-01", periods=400, freq="h", tz="UTC")
    panel = {f"unit {i:02d}": bm.simulate(MODEL, TRUTH, times, rng=i) for i in range(12)}
    alone = bm.fit_many(MODEL, panel, n_jobs=1)
    begun = threading.Event()
    workers = [info["nanny"] for info in client.scheduler_info()["workers"].values()]
    assert len(workers) == 2
    victim = next(iter(client.run(os.getpid).values()))

    def kill():
        begun.wait(120)
        os.kill(victim, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with parallel_config(backend="dask"):
        spread = bm.fit_many(MODEL, panel, checkpoint=tmp_path, progress=lambda done, total: done >= 2 and begun.set())
    begun.set()
    thread.join()
    deadline = time.time() + 60
    while victim in client.run(os.getpid).values() and time.time() < deadline:
        time.sleep(0.2)
    assert victim not in client.run(os.getpid).values()
    for unit in panel:
        assert spread[unit].x.tobytes() == alone[unit].x.tobytes()
        assert spread[unit].cov.tobytes() == alone[unit].cov.tobytes()
    fit = bm.fit(bm.Switching(bm.OU()), panel["unit 00"], starts=2)
    with parallel_config(backend="dask"):
        drawn = bm.bootstrap(fit, 60, rng=1)
        rolled = bm.rolling(bm.OU(), panel["unit 00"], "5D", "1h")
    assert drawn.draws.tobytes() == bm.bootstrap(fit, 60, rng=1, n_jobs=1).draws.tobytes()
    pd.testing.assert_frame_equal(rolled, bm.rolling(bm.OU(), panel["unit 00"], "5D", "1h", n_jobs=1))
