"""The README is true: its commands exist, its code runs, its tables are the committed results."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

import basismodels as bm
from basismodels.presets import PRESETS

from .conftest import ROOT, make_market

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SHELL = [line for kind, text in BLOCKS if not kind for line in text.splitlines()]


@pytest.fixture(scope="module")
def readme() -> ModuleType:
    """benchmarks/readme.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("readme", ROOT / "benchmarks" / "readme.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_the_committed_results(readme: ModuleType) -> None:
    assert readme.filled(README) == README, "run `make tables`"


def test_a_table_is_filled_from_its_file(readme: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("case,log_lik,ratio\nou|x,-15817.153,0.02344\nlong,12,inf\nnone,nan,\n")
    text = "a\n<!-- table:s -->\nold\n<!-- /table -->\nb\n<!-- table:s columns=ratio -->\n<!-- /table -->\n"
    made = readme.filled(text, (tmp_path / "absent", tmp_path))
    assert made == (
        "a\n<!-- table:s -->\n| case | log lik | ratio |\n| --- | --- | --- |\n"
        "| ou\\|x | -15,817.2 | 0.0234 |\n| long | 12 | infinite |\n| none | - |  |\n<!-- /table -->\nb\n"
        "<!-- table:s columns=ratio -->\n| ratio |\n| --- |\n| 0.0234 |\n| infinite |\n|  |\n"
        "<!-- /table -->\n"
    )
    assert readme.filled(made, (tmp_path,)) == made


@pytest.mark.parametrize(("where", "kept"), [("model:ou,n:500", ["2"]), ("n:!250", ["2"]), ("n:250", ["1", "3"])])
def test_a_table_keeps_the_rows_asked_for(readme: ModuleType, tmp_path: Path, where: str, kept: list[str]) -> None:
    (tmp_path / "s.csv").write_text("model,n,llf\nou,250,1\nou,500,2\nnoise,250,3\n")
    made = readme.filled(f"<!-- table:s columns=llf where={where} -->\n<!-- /table -->\n", (tmp_path,))
    assert made.splitlines()[1:-1] == ["| llf |", "| --- |", *(f"| {value} |" for value in kept)]


def test_a_table_can_be_wide(readme: ModuleType, tmp_path: Path) -> None:
    lines = ["speed,method,hit,low,high", "2,a,0.5,0.4,0.61", "2,b,0.9512,0.9,1", "5,a,,,", "5,b,1e-200,0,1", ""]
    (tmp_path / "s.csv").write_text("\n".join(lines))
    made = readme.filled("<!-- table:s columns=speed wide=method:hit:low:high -->\n<!-- /table -->\n", (tmp_path,))
    assert made.splitlines()[1:-1] == [
        "| speed | a | b |",
        "| --- | --- | --- |",
        "| 2 | 0.5 (0.4 to 0.61) | 0.951 (0.9 to 1) |",
        "| 5 |  | 0 (0 to 1) |",
    ]


def test_a_table_without_results_is_an_error(readme: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"speed\.csv"):
        readme.filled("<!-- table:speed -->\n<!-- /table -->\n", (tmp_path,))


def test_continuous_integration_uses_the_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    asked = re.findall(r"readme '([^']+)'", script)
    assert len(asked) == 2
    for text in asked:
        assert [line for line in SHELL if text in line and line.startswith(".venv/bin/")], text


def test_the_continuous_integration_script_parses() -> None:
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=False).returncode == 0


def test_the_table_of_models_is_the_registry() -> None:
    section = README.split("## Models")[1].split("## ")[0]
    assert dict(re.findall(r"^\| `([\w-]+)` \| `(.+)` \|$", section, re.MULTILINE)).keys() == PRESETS.keys()


def test_every_name_of_the_readme_is_public() -> None:
    assert set(re.findall(r"\bbm\.(\w+)", README)) <= {*bm.__all__, "funding"}


@pytest.mark.slow
@pytest.mark.long
def test_the_code_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    market = make_market().rename_axis("time")
    market.to_parquet(tmp_path / "prices.parquet")
    pd.concat([market.assign(symbol=name) for name in ("A", "B")]).to_parquet(tmp_path / "all.parquet")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in (text for kind, text in BLOCKS if kind == "python"):
        exec(compile(block, "README.md", "exec"), scope)
    assert scope["failing"].shape[1] == 7  # type: ignore[attr-defined]


def commands() -> list[list[str]]:
    """Every command line of the README, from the word after the program on."""
    lines = [line.split("#")[0] for line in SHELL if re.match(r"(\.venv/bin/)?basismodels ", line)]
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_of_the_readme_exists_with_its_options(words: list[str]) -> None:
    program = Path(sys.executable).with_name("basismodels")
    shown = subprocess.run([program, words[0], "--help"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[\w-]+", shown.stdout))
