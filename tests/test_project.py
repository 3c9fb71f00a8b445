"""Facts of the tree: versions agree, imports run one way, names do not clash, commands exist."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import basismodels as bm

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "basismodels"
HEAVY = ("pymc", "arviz", "ccxt", "matplotlib", "statsmodels")
TARGETS = (
    "run", "test", "check", "slow", "bench", "notebooks", "rolling-origin", "docs", "paper", "paper-check",
)  # fmt: skip


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def imported(file: Path) -> set[str]:
    """Full names of the modules a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def test_the_citation_file_has_what_a_reference_needs() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["authors"] == [{"name": "The basismodels developers"}]
    assert citation["license"] == "MIT"
    assert {"title", "message", "abstract", "version", "keywords"} <= citation.keys()


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert bm.__version__ == project["version"] == citation["version"] == headings[0]


def test_imports_run_one_way() -> None:
    result = run(Path(sys.executable).with_name("lint-imports"))
    assert result.returncode == 0, result.stdout
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", result.stdout)


def test_kernels_import_numpy_and_numba_only() -> None:
    allowed = {"numpy", "numba", "llvmlite", *sys.stdlib_module_names}
    for file in (SOURCE / "likelihood").rglob("*.py"):
        outside = {m for m in imported(file) if not m.startswith("basismodels.likelihood")}
        assert {m.split(".")[0] for m in outside} <= allowed, file


def test_only_the_report_imports_matplotlib() -> None:
    users = {f for f in SOURCE.rglob("*.py") if "matplotlib" in {m.split(".")[0] for m in imported(f)}}
    assert {file.relative_to(SOURCE).parts[0] for file in users} == {"report"}


def test_every_public_name_is_reachable_after_every_submodule_was_imported() -> None:
    found = {module.name for module in pkgutil.walk_packages(bm.__path__, "basismodels.")}
    for name in found - {"basismodels.__main__"}:  # which is the program itself
        importlib.import_module(name)
    for name in bm.__all__:
        assert not isinstance(getattr(bm, name), ModuleType), name


def test_no_module_shares_a_name_with_a_public_one() -> None:
    assert {module.name for module in pkgutil.iter_modules(bm.__path__)}.isdisjoint(bm.__all__)


def test_public_names_are_listed_and_only_those() -> None:
    assert sorted(set(bm.__all__)) == sorted(bm.__all__)
    assert set(bm.__all__) <= set(dir(bm))
    with pytest.raises(AttributeError, match="no_such_name"):
        bm.no_such_name  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, basismodels; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert run(sys.executable, "-c", code).stdout.strip() == "[]"


def test_importing_the_package_is_quick() -> None:
    assert min(import_seconds() for _ in range(3)) < 0.8


def import_seconds() -> float:
    """Time of `import basismodels` with all it loads, as the interpreter itself counts it."""
    trace = run(sys.executable, "-X", "importtime", "-c", "import basismodels").stderr
    found = re.search(r"\|\s*(\d+) \| basismodels$", trace, re.MULTILINE)
    assert found, trace
    return int(found[1]) / 1e6


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
class TestMakefile:
    @pytest.mark.parametrize("target", TARGETS)
    def test_a_target_installs_first_and_names_files_that_exist(self, target: str, tmp_path: Path) -> None:
        environment = tmp_path / "env"
        plan = run("make", "--dry-run", target, f"VENV={environment}")
        assert plan.returncode == 0, plan.stderr
        assert f"{environment}/bin/python -m pip install" in plan.stdout
        files = re.findall(r"\b(?:benchmarks|notebooks|paper|tests)/[\w/]+\.(?:py|md)\b", plan.stdout)
        assert [name for name in files if not (ROOT / name).exists()] == []

    def test_a_missing_interpreter_is_named_in_one_line(self, tmp_path: Path) -> None:
        result = run("make", "run", "PYTHON=no-such-python", f"VENV={tmp_path / 'env'}")
        assert result.returncode != 0
        assert result.stderr.splitlines()[0].startswith("no-such-python is missing")

    def test_a_missing_venv_module_is_named_in_one_line(self, tmp_path: Path) -> None:
        bare = tmp_path / "bare"
        bare.write_text(f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n')
        bare.chmod(0o755)
        result = run("make", "run", f"PYTHON={bare}", f"VENV={tmp_path / 'env'}")
        assert result.returncode != 0
        assert "python3-venv" in result.stderr.splitlines()[0]
        assert not (tmp_path / "env").exists()
