"""Paper and article: form, keys, macros and tables, as `make paper-check` sees them; and that it can fail."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

PAPER = Path(__file__).resolve().parents[1] / "paper"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    sys.path.insert(0, str(PAPER))
    try:
        import build as made
    finally:
        sys.path.remove(str(PAPER))
    return made


@pytest.fixture(scope="module")
def texts() -> tuple[str, str]:
    return tuple((PAPER / name).read_text(encoding="utf-8") for name in ("paper.md", "article.md"))


def test_form_keys_and_tables_are_in_order(build, texts):
    paper, article = texts
    assert build.faults("paper.md", paper) == []
    assert build.faults("article.md", article) == []
    assert build.unused([paper, article]) == []
    assert build.stale(paper) == []


def test_every_number_of_the_article_is_a_macro_with_a_value(build, texts):
    values = build.numbers()
    assert build.macro_faults(texts[1], values) == []
    assert "{{" not in build.expanded(texts[1], values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("# Failure\n", "# Disaster\n"), "no heading 'Failure'"),
        (("@kim1994", "@kimm1994"), "@kimm1994 is not in paper.bib"),
    ],
)
def test_a_wrong_form_is_named(build, texts, change, said):
    assert any(said in fault for fault in build.faults("article.md", texts[1].replace(*change)))


def test_a_typed_number_an_unknown_macro_and_a_stale_table_are_named(build, texts):
    values = build.numbers()
    assert any("0.534" in f for f in build.macro_faults(texts[1] + "\nIt gains 0.534 nats.", values))
    assert any("'nothing'" in f for f in build.macro_faults(texts[1] + "{{nothing}}", values))
    assert build.stale(texts[0].replace("17.1", "17.2"))
    assert build.unused([texts[0].replace("@kim1994", ""), texts[1].replace("@kim1994", "")])


def test_columns_are_as_wide_as_their_cells(build):
    text = "x\n| a | bb |\n| --- | --- |\n| cccccc | d |\n\ny | z\n"
    assert build.spaced(text) == "x\n| a | bb |\n|:--------|-----|\n| cccccc | d |\n\ny | z\n"


def test_models_scored_on_one_symbol_are_named(build):
    import pandas as pd

    scores = pd.DataFrame({"symbol": ["BTC", "ETH", "BTC"], "model": ["a", "a", "b"]})
    numbers = sys.modules["numbers_of"]
    assert numbers._scored_once(scores) == " (`b` on BTC only)"
    assert numbers._scored_once(scores[:2]) == ""
