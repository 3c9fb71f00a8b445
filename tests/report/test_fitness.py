"""The report's section on residuals says what the residuals say."""

from __future__ import annotations

import pandas as pd
import pytest

from basismodels.report import figures, tables
from basismodels.report.fitness import fitness


def test_the_section_is_that_of_the_chosen_model(analysis):
    rows = tables.residual_rows(analysis)
    assert [row["test"] for row in rows] == list(analysis.fitness.residuals.tests.index)
    assert all(row["p"] for row in rows)
    assert [row["bad"] == "bad" for row in rows] == list(analysis.fitness.residuals.tests["p"] < 0.01)


def test_a_page_shows_it(report):
    text = report.path.read_text(encoding="utf-8")
    assert "Does the chosen model describe the data?" in text
    assert "PIT uniform (Kolmogorov)" in text


def test_too_few_rows_leave_it_out(series):
    import basismodels as bm

    assert fitness(bm.fit(bm.OU(), series.cut(None, series.time[40])), 0.95, None) is None


@pytest.mark.parametrize("draw", [figures.pit, figures.autocorrelation, figures.seasons])
def test_pictures_show_every_number(analysis, draw):
    ax = draw(analysis.fitness.residuals)
    assert ax.get_title(loc="left")
    assert ax.has_data()


def test_a_signature_has_one_line_a_component_and_cuts_infinite_limits():
    table = pd.DataFrame(
        {"hours": [1.0, 8.0, 1.0, 8.0], "component": ["total", "total", "slow", "slow"], "regime": None,
         "value": [5.0, 6.0, 50.0, 60.0], "lower": [4.0, 3.0, 20.0, 20.0], "upper": [6.0, float("inf"), 90.0, 99.0]}
    )  # fmt: skip
    ax = figures.signature(table, components=("total", "slow"))
    assert [line.get_label() for line in ax.lines] == ["total", "slow"]
    assert ax.get_ylim()[1] < 1000.0
