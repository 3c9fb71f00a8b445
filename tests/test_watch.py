"""Following a file: the same filter as in one pass, whatever the portions, a clean end, bad rows passed over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.cli import OK, REFUSED, USAGE, main
from basismodels.estimands.event import Event
from basismodels.estimands.failure import failing
from basismodels.problem import bind
from basismodels.sources.tail import Tail

MODEL = bm.Switching(bm.OU())


@pytest.fixture(scope="module")
def table():
    """The example as a file holds it."""
    data = bm.load_example(end="2024-02-29")
    frame = pd.DataFrame({"basis": data.basis, "z": np.arange(data.n) % 7.0}, index=data.time)
    frame["funding_rate"] = data.settlements["rate"].reindex(frame.index)
    return frame.rename_axis("time")


@pytest.fixture(scope="module")
def stored(table, tmp_path_factory):
    fit = bm.fit(MODEL, bm.from_frame(table[: "2024-02-09"]), starts=6, mask=False)
    assert fit.ok
    return bm.save(fit, tmp_path_factory.mktemp("fit") / "x.fit")


def csv(frame, header=True):
    return frame.to_csv(header=header)


def lines_of(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_once_gives_what_a_batch_filter_gives(table, stored, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    path = tmp_path / "x.csv"
    path.write_text(csv(table))
    assert main(["watch", str(path), "--fit", str(stored), "--once"]) == OK
    said = capsys.readouterr()
    assert said.err.rstrip().endswith("a line for each row after 2024-02-09 23:00 UTC")
    made = [json.loads(line) for line in said.out.splitlines()]
    fit = bm.load(stored)
    whole = bm.from_frame(table)
    again = replace(fit, problem=bind(fit.model, whole.with_mask(np.zeros(whole.n, dtype=bool))))
    p = again.filtered.p[again.problem.place][-len(made) :]
    assert [row["time"] for row in made] == [t.isoformat().replace("+00:00", "Z") for t in table["2024-02-10":].index]
    np.testing.assert_allclose([row["regimes"] for row in made], p, atol=1e-12)
    chosen = failing(fit.problem, fit.x, Event(24.0, 10.0)).failing
    np.testing.assert_allclose([row["failure"] for row in made], p[:, chosen].sum(axis=1), atol=1e-12)
    lost = bm.convergence_probability(again, horizon=24, band=10)["probability_no_return"]
    np.testing.assert_allclose([row["no_return"] for row in made], lost[-len(made) :], atol=5e-3)


def test_columns_of_funding_are_made_for_the_new_rows(table, tmp_path, capsys):
    """The file holds rates at their stamps alone; the rule of the fit makes of them what its formulas name."""
    model = bm.OU(theta="1 + premium_mean") + bm.Noise() + bm.Settlement()
    fit = bm.fit(model, bm.from_frame(table[: "2024-02-09"]), mask=False)
    path = tmp_path / "x.csv"
    path.write_text(csv(table))
    assert main(["watch", str(path), "--fit", str(bm.save(fit, tmp_path / "x.fit")), "--once"]) == OK
    made = lines_of(capsys)
    whole = bm.from_frame(table)
    again = replace(fit, problem=bind(model, whole.with_mask(np.zeros(whole.n, dtype=bool))))
    np.testing.assert_allclose(
        [row["log_density"] for row in made], again.filtered.log_density[again.problem.place][-len(made) :], atol=1e-9
    )


def test_portions_do_not_matter_and_a_line_still_being_written_waits(table, tmp_path):
    path = tmp_path / "x.csv"
    text = csv(table[:"2024-01-05"])
    rng, whole, sizes = np.random.default_rng(0), [], []
    cuts = np.sort(rng.integers(len(text.splitlines()[0]) + 1, len(text), 12))
    path.write_text(text[: cuts[0]])
    tail = Tail(path)
    for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True):
        with path.open("a") as file:
            file.write(text[max(a, cuts[0]) : b])
        for block in tail.blocks():
            whole.append(pd.Series(block.basis, index=block.time))
            sizes.append(block.n)
    made = pd.concat(whole)
    assert len(sizes) > 5
    np.testing.assert_allclose(made, table["basis"][:"2024-01-05"])


def test_rows_that_cannot_be_used_are_named_and_passed_over(table, stored, tmp_path, capsys):
    new = csv(table["2024-02-10":"2024-02-11"], header=False).splitlines()
    new[5] = new[5].replace("2024-02-10", "yesterday", 1)
    new[9] = "2024-02-10 10:00:00+00:00,not a number,,"
    new.insert(20, new[15])
    path = tmp_path / "x.csv"
    path.write_text(csv(table[:"2024-02-09"]) + "\n".join(new) + "\n")
    assert main(["watch", str(path), "--fit", str(stored), "--once"]) == OK
    made = lines_of(capsys)
    assert sum("error" in row for row in made) == 3
    assert sum("time" in row for row in made) == 46
    assert any("must follow" in row.get("error", "") for row in made)


def test_it_fits_first_where_no_fit_is_given(table, tmp_path, capsys):
    path = tmp_path / "x.csv"
    path.write_text(csv(table[:"2024-01-10"]))
    assert main(["watch", str(path), "--model", "ou", "--once"]) == OK
    assert lines_of(capsys) == []


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_it_follows_and_ends_when_told_to(table, stored, tmp_path, name):
    path = tmp_path / "x.csv"
    path.write_text(csv(table[:"2024-02-09"]))
    command = [sys.executable, "-m", "basismodels", "watch", str(path), "--fit", str(stored), "--poll", "0.05"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with path.open("a") as file:
        file.write(csv(table["2024-02-10":"2024-02-10"], header=False))
    first = [json.loads(process.stdout.readline()) for _ in range(24)]
    with path.open("a") as file:
        file.write(csv(table["2024-02-11":"2024-02-11"], header=False))
    second = [json.loads(process.stdout.readline()) for _ in range(24)]
    assert [row["time"][:10] for row in (first[0], second[-1])] == ["2024-02-10", "2024-02-11"]
    time.sleep(0.1)
    process.send_signal(name)
    rest, said = process.communicate(timeout=20)
    assert (process.returncode, rest, said) == (0, "", "")


def test_what_cannot_be_watched_is_refused(table, tmp_path, capsys):
    missing, empty, short = tmp_path / "no.csv", tmp_path / "empty.csv", tmp_path / "short.csv"
    empty.write_text("")
    assert main(["watch", "--once"]) == USAGE
    assert main(["watch", str(missing), "--once"]) == REFUSED
    assert main(["watch", str(empty), "--once"]) == REFUSED
    short.write_text(csv(table[:"2024-01-10"]))
    assert main(["watch", str(short), "--model", "ou", "--once", "--poll", "0"]) == USAGE
    assert len(capsys.readouterr().err.strip().splitlines()) == 4
    tail = Tail(short)
    assert sum(block.n for block in tail.blocks()) == len(table[:"2024-01-10"])
    os.truncate(short, 100)
    with pytest.raises(bm.DataError, match="became shorter"):
        list(tail.blocks())
