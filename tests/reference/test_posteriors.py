"""Six small posteriors against stored means and sds that no sampler made."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import basismodels as bm
from basismodels.inference.diagnose_draws import ess

pytestmark = pytest.mark.long

HERE = Path(__file__).parent
STORED = json.loads((HERE / "posteriors.json").read_text(encoding="utf-8"))


def cases():
    spec = importlib.util.spec_from_file_location("make_posteriors", HERE / "make_posteriors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "random-walk" else [pytest.mark.slow]) for name in STORED]
)
def test_means_and_sds_agree_within_four_errors(name):
    text, start, end = cases().CASES[name]
    stored = STORED[name]
    post = bm.sample(bm.parse_model(text), bm.load_example(start=start, end=end), rng=2)
    assert post.names == stored["names"]
    draws = post.draws.reshape(4, -1, len(post.names))
    mean, sd = np.array(stored["mean"]), np.array(stored["sd"])
    size = 1.0 / (1.0 / ess(draws) + 1.0 / stored["ess"])
    assert np.all(np.abs(post.draws.mean(axis=0) - mean) < 4.0 * sd / np.sqrt(size))
    # the error of an sd depends on the fourth moment
    fourth = np.mean((post.draws - post.draws.mean(axis=0)) ** 4, axis=0) / post.draws.std(axis=0) ** 4
    tails = 1.0 / (1.0 / ess((draws - mean) ** 2) + 1.0 / stored["ess"])
    assert np.all(np.abs(post.draws.std(axis=0) / sd - 1.0) < 4.0 * np.sqrt((fourth - 1.0) / (4.0 * tails)))
