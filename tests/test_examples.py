"""The documentation's examples run, and every public name has one."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import basismodels as bm

PAGE = Path(__file__).resolve().parents[1] / "docs" / "examples.md"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.long
def test_examples_run() -> None:
    found = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 50
    assert found.failed == 0


def test_every_public_name_has_an_example_and_a_place_in_the_reference() -> None:
    used = set(re.findall(r"\bbm\.(\w+)", PAGE.read_text(encoding="utf-8")))
    listed = set(re.findall(r"^   (\w+)$", (PAGE.parent / "api.md").read_text(encoding="utf-8"), re.MULTILINE))
    public = set(bm.__all__) - {"__version__"}
    assert public <= used, sorted(public - used)
    assert public <= listed, sorted(public - listed)
    funding = {*bm.funding.__all__} - {"COVARIATES"}  # the columns stand in docs/models.md
    assert funding <= listed, sorted(funding - listed)
    shown = set(re.findall(r"\bbm\.funding\.(\w+)", PAGE.read_text(encoding="utf-8")))
    assert {name for name in funding if name.islower()} <= shown
