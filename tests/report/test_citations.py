"""Citations: the package always, sources by what the fit used, each entry whole."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import basismodels as bm
from basismodels.report.citations import _references, keys_of

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_alone():
    made = bm.cite()
    assert made.startswith("@software{basismodels,")
    assert f"version = {{{bm.__version__}}}" in made
    assert len(made.splitlines()) == 1


@pytest.mark.parametrize(
    ("model", "kind", "keys"),
    [
        (bm.OU(), "", {"uhlenbeck1930", "kalman1960", "hansen1999"}),
        (bm.Switching(bm.OU()), "bootstrap", {"hamilton1989", "efron1979"}),
        (bm.Switching(bm.OU() + bm.Noise()), "posterior", {"hamilton1989", "kim1994", "hoffman2014", "abrilpla2023"}),
    ],
)
def test_sources_follow_the_model_and_the_estimator(model, kind, keys):
    fit = replace(bm.fit(model, bm.load_example(end="2024-01-10"), starts=1), draws_kind=kind)
    made = bm.cite(fit)
    assert keys <= set(keys_of(fit)) <= set(re.findall(r"^@\w+\{(\w+),", made, re.MULTILINE))
    assert ("kim1994" in made) == ("kim1994" in keys)


def test_every_entry_is_whole_and_has_what_a_reference_needs():
    for key, entry in _references().items():
        assert entry.count("{") == entry.count("}"), key
        assert re.search(r"year = \{\d{4}\}", entry), key
        for part in ("author", "title", "journal"):
            assert f"{part} = {{" in entry, key


def test_entries_that_the_paper_has_too_are_the_same():
    paper = {line.split("{", 1)[1].split(",", 1)[0]: line
             for line in (ROOT / "paper" / "paper.bib").read_text().splitlines() if line.startswith("@")}  # fmt: skip
    shared = set(paper) & set(_references())
    assert shared
    for key in shared:
        assert paper[key] == _references()[key]
