"""The command line: words, exit codes, stable JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from basismodels.cli import DOUBTFUL, OK, REFUSED, USAGE, main, plain


def run_json(tmp_path, *argv):
    out = tmp_path / "out.json"
    code = main([*map(str, argv), "--json", str(out)])
    return code, json.loads(out.read_text())


def test_fit_json_has_the_stable_keys(tmp_path, capsys):
    code, made = run_json(tmp_path, "fit", "--model", "ou-noise", "--end", "2024-02-10")
    assert code == OK
    assert {"model", "nobs", "llf", "aic", "bic", "ok", "diagnostics", "params", "half_life"} <= set(made)
    assert made["model"] == "ou-noise"
    assert set(made["params"]["kappa"]) == {"estimate", "se", "lower", "upper", "unit"}
    assert made["params"]["kappa"]["unit"] == "1/h"
    assert set(made["half_life"][0]) == {"component", "regime", "value", "lower", "upper", "unit", "method"}
    assert made["half_life"][0]["unit"] == "h"
    assert made["half_life_total"]["component"] == "total"
    assert made["data"]["simulated"] is True
    assert "SIMULATED DATA" in capsys.readouterr().out


def test_an_infinite_half_life_is_the_string_inf(tmp_path):
    _, made = run_json(tmp_path, "fit", "--model", "random-walk", "--end", "2024-01-20")
    assert made["half_life_total"]["value"] == "inf"


def test_plain_json_has_no_bare_infinities():
    assert plain({"a": [np.inf, -np.inf, np.nan, np.float64(1.5), np.int64(2), np.True_]}) == {
        "a": ["inf", "-inf", "nan", 1.5, 2, True]
    }


def test_compare_fits_every_model_to_the_rows_that_all_know(tmp_path):
    code, rows = run_json(tmp_path, "compare", "--models", "ou,OU(theta='1 + funding_last')", "--end", "2024-01-31")
    assert code == OK
    assert {row["model"] for row in rows} == {"ou", "OU(theta='1 + funding_last')"}


def test_compare_writes_one_row_a_model(tmp_path, capsys):
    code, rows = run_json(tmp_path, "compare", "--models", "ou,OU() + Noise()", "--end", "2024-01-31")
    assert code == OK
    assert {row["model"] for row in rows} == {"ou", "OU() + Noise()"}
    assert "log_score" in rows[0]


def test_check_json_conventions(tmp_path):
    code, made = run_json(tmp_path, "check")
    assert code == OK
    assert set(made) == {"rows", "span", "findings"}
    assert made["rows"] == 2880
    assert all(stamp.endswith("Z") for stamp in made["span"])


@pytest.mark.real
def test_check_finds_the_listed_outages_masked(tmp_path, real):
    _, made = run_json(tmp_path, "check", real("binance_btcusdt_1h"))
    out = [f for f in made["findings"] if f["kind"] == "outage" and f["masked"]]
    for stamp in ("2020-02-19T13", "2021-02-11T04", "2021-04-25T06", "2021-08-13T03", "2023-03-24T13"):
        assert any(f["start"] <= stamp + ":00:00Z" <= f["end"] for f in out), stamp
    masked = [f for f in made["findings"] if f["masked"]]
    for stamp in ("2020-03-13T02:00:00Z", "2021-05-19T13:00:00Z"):
        assert not any(f["start"] <= stamp <= f["end"] for f in masked)


@pytest.mark.parametrize(
    ("argv", "code", "word"),
    [
        (["fit", "--model", "ou_noise"], USAGE, "no registered model 'ou_noise'; there are random-walk, ou, ou-noise"),
        (["fit", "--model", "OU(kappa='1 + zz')"], USAGE, "zz"),
        (["fit", "/nowhere/x.parquet"], REFUSED, "does not exist"),
        (["fit", "--start", "1999-01-01", "--end", "1999-02-01"], REFUSED, "2024"),
        (["fit", "--level", "2"], USAGE, "level"),
        (["fit", "--starts", "0"], USAGE, "starts"),
        (["report", "--band", "-1", "--models", "ou"], USAGE, "band"),
        (["compare", "--models", "ou,Nope()"], USAGE, "Nope"),
    ],
)
def test_refusals_are_one_line_with_the_right_exit_code(argv, code, word, capsys):
    assert main(argv) == code
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert any(part in said for part in word.split("|"))


@pytest.mark.parametrize("command", ["report", "fit", "compare", "simulate", "watch"])
def test_help_names_the_defaults(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "starting points of the search; default 20" in said
    assert "default None" not in said
    assert "default %" not in said


@pytest.mark.parametrize("content", [b"", b"PAR1 broken", b"not,a\nseries"])
def test_unreadable_files_exit_with_three(tmp_path, content, capsys):
    for name in ("x.parquet", "x.csv"):
        path = tmp_path / name
        path.write_bytes(content)
        assert main(["fit", str(path)]) == REFUSED
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert main(["fit", str(tmp_path)]) == REFUSED


def test_a_fit_not_to_be_trusted_exits_with_four_and_writes_its_json(tmp_path, capsys):
    # the two factors of the embedded example collapse on its first week
    code, made = run_json(tmp_path, "fit", "--model", "OU() + SlowOU() + Noise()", "--end", "2024-01-04")
    assert made["ok"] is False
    assert code == DOUBTFUL
    assert capsys.readouterr().out.splitlines()[1].startswith("NOT TO BE TRUSTED")


def test_nothing_half_written_stays_behind(tmp_path):
    assert main(["fit", "--model", "ou", "--end", "2024-01-10", "--json", str(tmp_path / "no" / "x.json")]) == USAGE
    assert list(tmp_path.iterdir()) == []


def test_simulate_writes_a_file_that_reads_back(tmp_path):
    import basismodels as bm

    out = tmp_path / "sim.parquet"
    assert main(["simulate", "--model", "ou", "--end", "2024-01-31", "--out", str(out), "--rng", "3"]) == OK
    again = bm.read(out)
    assert again.n == 743
    first = again.basis.copy()
    main(["simulate", "--model", "ou", "--end", "2024-01-31", "--out", str(out), "--rng", "3"])
    assert np.array_equal(bm.read(out).basis, first)


@pytest.mark.real
@pytest.mark.parametrize(
    ("model", "llf", "lives"),
    [("ou", -15817.2, [17.1]), ("ou-noise", -14997.6, [108.0]), ("two-factor", -14843.4, [1.2, 362.0])],
)
def test_the_figures_of_bitcoin_2024(tmp_path, real, model, llf, lives):
    code, made = run_json(
        tmp_path, "fit", real("binance_btcusdt_1h"),
        "--start", "2024-01-01", "--end", "2024-12-31", "--model", model,
    )  # fmt: skip
    assert code == OK
    assert made["nobs"] == 8784
    assert made["llf"] >= llf
    found = [part["value"] for part in made["half_life"]]
    assert found == pytest.approx(lives, rel=0.02)
