"""Results on disk: what comes back is what went in; what was altered is refused."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest

import basismodels as bm


@pytest.fixture(scope="module")
def fit():
    data = bm.load_example(end="2024-02-10")
    return bm.bootstrap(bm.fit(bm.Switching(bm.OU()), data, starts=3), 5, rng=1)


def rewritten(path, change):
    """The same archive with one member changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    path.write_bytes(buffer.getvalue())


def test_a_fit_comes_back_bit_for_bit(fit, tmp_path):
    again = bm.load(bm.save(fit, tmp_path / "x.fit"))
    assert np.array_equal(again.x, fit.x)
    assert np.array_equal(again.draws, fit.draws)
    assert again.filtered.p.tobytes() == fit.filtered.p.tobytes()
    assert again.diagnostics == fit.diagnostics
    assert again.summary() == fit.summary()
    pd.testing.assert_frame_equal(again.data.covariates, fit.data.covariates, check_freq=False)


def test_the_same_fit_saves_to_the_same_bytes(fit, tmp_path):
    a, b = bm.save(fit, tmp_path / "a.fit"), bm.save(fit, tmp_path / "b.fit")
    assert a.read_bytes() == b.read_bytes()


def test_a_changed_number_is_noticed(fit, tmp_path):
    path = bm.save(fit, tmp_path / "x.fit")

    def change(members):
        frame = pd.read_parquet(io.BytesIO(members["series.parquet"]))
        frame.iloc[10, 0] += 1.0
        buffer = io.BytesIO()
        frame.to_parquet(buffer)
        members["series.parquet"] = buffer.getvalue()

    rewritten(path, change)
    with pytest.raises(bm.StoreError, match=r"altered.*series\.parquet"):
        bm.load(path)


def test_an_unknown_schema_and_a_foreign_member_are_refused(fit, tmp_path):
    path = bm.save(fit, tmp_path / "x.fit")
    rewritten(path, lambda m: m.update({"evil.pkl": b"x"}))
    with pytest.raises(bm.StoreError, match="evil"):
        bm.load(path)

    def newer(members):
        manifest = json.loads(members["manifest.json"])
        members["manifest.json"] = json.dumps(manifest | {"schema": 99}).encode()

    path = bm.save(fit, tmp_path / "y.fit")
    rewritten(path, newer)
    with pytest.raises(bm.StoreError, match="schema 99"):
        bm.load(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", b"{}"])
def test_what_is_not_a_stored_fit_is_refused(tmp_path, content):
    path = tmp_path / "x.fit"
    path.write_bytes(content)
    with pytest.raises(bm.StoreError, match="not a stored fit"):
        bm.load(path)


def test_a_failed_save_leaves_nothing(fit, tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        bm.save(fit, tmp_path / "x.fit")
    assert list(tmp_path.iterdir()) == []


def test_a_fit_that_saw_masked_rows_sees_them_when_it_comes_back(fit, tmp_path):
    data = fit.data.with_mask(np.arange(fit.data.n) % 7 == 0)
    made = bm.fit(bm.OU(), data, mask=False)
    path = bm.save(made, tmp_path / "x.fit")
    assert bm.load(path).nobs == made.nobs

    def old(members):
        manifest = json.loads(members["manifest.json"])
        del manifest["mask"]
        members["manifest.json"] = json.dumps(manifest).encode()

    rewritten(path, old)
    assert bm.load(path).nobs == int(data.observed.sum())
