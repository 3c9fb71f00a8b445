"""Tasks: one result whatever the workers, the backend, and however often the run was killed."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest

import basismodels as bm
from basismodels.inference.tasks import key_of, packed, run_tasks, unpacked

WORK = '''
import os, signal
import numpy as np
from basismodels.inference.tasks import packed

def draw(scale, job):
    seed, i = job
    return packed(scale * np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,))).standard_normal(10))

def die_once(folder, job):
    flag = os.path.join(folder, "died")
    if job == 3 and not os.path.exists(flag):
        open(flag, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return str(job).encode()
'''

JOBS = [(7, i) for i in range(12)]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A module that other processes can import."""
    from joblib.externals.loky import get_reusable_executor

    folder = tmp_path_factory.mktemp("work")
    (folder / "work_of_tests.py").write_text(WORK)
    get_reusable_executor().shutdown()  # workers take the path they began with
    sys.path.insert(0, str(folder))
    yield importlib.import_module("work_of_tests")
    sys.path.remove(str(folder))


def test_the_result_does_not_depend_on_workers_or_backend(work):
    from joblib import parallel_config

    alone = run_tasks(partial(work.draw, 2.0), JOBS, title="draws", n_jobs=1)
    assert run_tasks(partial(work.draw, 2.0), JOBS, title="draws", n_jobs=3) == alone
    with parallel_config(backend="loky", n_jobs=2):
        assert run_tasks(partial(work.draw, 2.0), JOBS, title="draws") == alone


def test_a_worker_that_dies_is_replaced(work, tmp_path):
    from joblib import parallel_config

    with parallel_config(backend="loky", n_jobs=2):
        made = run_tasks(partial(work.die_once, str(tmp_path)), range(6), title="deaths", checkpoint=tmp_path / "kept")
    assert made == [str(i).encode() for i in range(6)]
    assert (tmp_path / "died").exists()


def test_finished_tasks_are_not_done_again_and_damaged_ones_are(tmp_path):
    calls = []

    def work(job):
        calls.append(job)
        return str(job).encode()

    first = run_tasks(work, range(5), title="five", key="k", n_jobs=1, checkpoint=tmp_path)
    assert sorted(calls) == [0, 1, 2, 3, 4]
    files = sorted(tmp_path.rglob("*.task"))
    files[2].write_bytes(files[2].read_bytes()[:-1])
    (files[0].parent / "x.part").write_bytes(b"half")
    assert run_tasks(work, range(5), title="five", key="k", n_jobs=1, checkpoint=tmp_path) == first
    assert calls[5:] == [2]
    assert not list(tmp_path.rglob("*.part"))
    run_tasks(work, range(5), title="five", key="other", n_jobs=1, checkpoint=tmp_path)
    assert len(calls) == 11


def test_an_error_of_a_task_comes_out_and_what_was_done_is_kept(tmp_path):
    def work(job):
        if job == 2:
            raise ValueError("no")
        return b"x"

    with pytest.raises(ValueError, match="no"):
        run_tasks(work, range(3), title="three", n_jobs=1, checkpoint=tmp_path)
    assert len(list(tmp_path.rglob("*.task"))) == 2


def test_keys_tell_inputs_apart():
    a = np.arange(4.0)
    keys = [key_of(a), key_of(a.reshape(2, 2)), key_of(a.astype(np.float32)), key_of("a", "b"), key_of("ab")]
    keys += [key_of(["a", "b"]), key_of(None), key_of("None"), key_of(1), key_of(1.0)]
    assert len(set(keys)) == len(keys)
    assert key_of(a) == key_of(a.copy())


def test_arrays_come_back_as_they_were():
    a = np.array([[1.0, np.nan], [np.inf, -0.0]])
    np.testing.assert_array_equal(unpacked(packed(a)), a)


@pytest.mark.parametrize("n_jobs", [0, 1.5, True, "two"])
def test_odd_numbers_of_workers_are_refused(work, n_jobs):
    with pytest.raises(bm.ModelError, match="n_jobs"):
        run_tasks(partial(work.draw, 1.0), JOBS, title="draws", n_jobs=n_jobs)


def test_a_folder_that_cannot_be_is_refused(work, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(bm.StoreError, match="checkpoints"):
        run_tasks(partial(work.draw, 1.0), JOBS, title="draws", checkpoint=tmp_path / "file")


PROGRAM = """
import sys
import numpy as np
import basismodels as bm

data = bm.load_example(end="2024-01-21")
fit = bm.fit(bm.Switching(bm.OU()), data, starts=2)
print("begun", flush=True)
made = bm.bootstrap(fit, {draws}, rng=3, n_jobs=2, checkpoint=sys.argv[1])
np.save(sys.argv[2], made.draws)
"""


def kill_and_resume(tmp_path, draws, kills, rng):
    """Runs the program, kills it at random moments after it begins, then lets it end; returns its draws and kills."""
    program, out = PROGRAM.format(draws=draws), tmp_path / "out.npy"
    killed = 0
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "kept"), str(out)], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "kept"), str(out)], check=True, capture_output=True)
    return np.load(out), killed


def test_a_bootstrap_killed_and_resumed_gives_the_same_bytes(tmp_path):
    made, killed = kill_and_resume(tmp_path, 400, 2, np.random.default_rng(0))
    assert killed >= 1
    fit = bm.fit(bm.Switching(bm.OU()), bm.load_example(end="2024-01-21"), starts=2)
    assert bm.bootstrap(fit, 400, rng=3, n_jobs=1).draws.tobytes() == made.tobytes()
    assert not list((tmp_path / "kept").rglob("*.part"))
