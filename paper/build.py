"""Builds the paper and the article, or checks them.

`python paper/build.py` fills the tables of paper.md from the committed results, writes the article with its numbers,
tables and figures into build/, and makes both PDFs with pandoc and typst. `--check` changes nothing and fails where a
table of paper.md differs from its results, a macro or a key is unknown or unused, a heading or the length is off, a
number stands in the article's text as digits, or a result differs from the one recomputed from real data
(BASISMODELS_DATA, default ../shared/data; without them that part is left out, and it says so).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "paper"
BUILD = ROOT / "build"
sys.path.insert(0, str(ROOT / "benchmarks"))

from numbers_of import FOLDERS, numbers, table  # noqa: E402
from readme import filled  # noqa: E402

HEADINGS = {
    "paper.md": (
        "Summary", "Statement of need", "State of the field", "Software design", "Research impact statement",
        "AI usage disclosure", "Acknowledgements", "References",
    ),
    "article.md": (
        "Introduction", "Model", "Intervals that hold", "How fast", "Which model forecasts", "Failure", "Funding",
        "Limits", "References",
    ),
}  # fmt: skip
WORDS = {"paper.md": (750, 1750), "article.md": (900, 6000)}
_LOOK = """#set text(size: 9.5pt)
#set table(inset: (x: 4pt, y: 2.5pt))
#show table: set text(size: 7pt)
#show table: set par(justify: false)
#show figure.where(kind: table): set block(breakable: true)
#show figure.caption: set text(size: 8.5pt)
"""
_MACRO = re.compile(r"\{\{(\w+)\}\}")
_TABLE = re.compile(r"<!-- table.*?<!-- /table -->", re.DOTALL)


def expanded(text: str, values: dict[str, str]) -> str:
    """The article with macros and tables in their places."""
    made = filled(_MACRO.sub(lambda found: values[found[1]], text), FOLDERS)
    made = re.sub(r":00\+00:00", "", made)
    return re.sub(r"<!-- /?table.*?-->\n", "", made)


def body(text: str) -> str:
    """What is prose: neither the head nor tables."""
    return _TABLE.sub("", text.split("---", 2)[2])


def faults(name: str, text: str) -> list[str]:
    """What is wrong with the form: headings, length, keys absent from the bibliography."""
    headings = set(re.findall(r"^# (.+)$", text, re.MULTILINE))
    found = [f"{name}: no heading {heading!r}" for heading in HEADINGS[name] if heading not in headings]
    words = len(re.findall(r"\b[\w'-]+\b", body(text)))
    low, high = WORDS[name]
    if not low <= words <= high:
        found.append(f"{name}: {words} words; {low} to {high} are asked for")
    return found + [f"{name}: @{key} is not in paper.bib" for key in sorted(cited(text) - known_keys())]


def cited(text: str) -> set[str]:
    return set(re.findall(r"@([a-z]+\d{4})", text))


def known_keys() -> set[str]:
    return set(re.findall(r"^@\w+\{([^,]+),", (HERE / "paper.bib").read_text(encoding="utf-8"), re.MULTILINE))


def unused(texts: list[str]) -> list[str]:
    keys = set().union(*map(cited, texts))
    return [f"{key} in paper.bib is not cited" for key in sorted(known_keys() - keys)]


def macro_faults(text: str, values: dict[str, str]) -> list[str]:
    """Macros without a value, and decimal numbers or shares typed by hand in the article's prose."""
    found = [f"article.md: no number {name!r}" for name in sorted(set(_MACRO.findall(text)) - set(values))]
    prose = re.sub(r"\$[^$]*\$|\{\{\w+\}\}|\]\([^)]*\)(\{[^}]*\})?|(nominal )?9[05]% ?", "", body(text))
    typed = re.findall(r"\d+\.\d+|\d+%", prose)
    return found + [f"article.md: {number} is typed, not a macro" for number in typed]


def stale(text: str) -> list[str]:
    return [] if filled(text, FOLDERS) == text else ["paper.md: a table differs from its results; make paper"]


def recomputed() -> list[str]:
    """Fits of 2024 again, against the committed table of markets; Monte Carlo has no part in them."""
    import markets

    name = "Binance BTC, 2024"
    if not (markets.DATA / f"{markets.MARKETS[name][0]}.parquet").exists():
        print("real data are not there: no number was recomputed", file=sys.stderr)
        return []
    committed = table("markets").query("market == @name").set_index(["model", "component"])
    found = []
    for row in markets.market(name, "wald"):
        was = committed.loc[(row["model"], row["component"])]
        for column, tolerance in (("half_life", 0.02), ("loglik", 1e-4)):
            if abs(float(row[column]) - was[column]) > tolerance * abs(was[column]):
                found.append(f"{name}, {row['model']}, {row['component']}: {column} {was[column]} is {row[column]:.6g}")
    return found


def check() -> list[str]:
    """Every fault of paper and article."""
    paper, article = ((HERE / name).read_text(encoding="utf-8") for name in HEADINGS)
    found = [*faults("paper.md", paper), *faults("article.md", article), *unused([paper, article]), *stale(paper)]
    return [*found, *macro_faults(article, numbers()), *recomputed()]


def build() -> None:
    """Tables, figures, the two texts and their PDFs."""
    import figures

    BUILD.mkdir(exist_ok=True)
    paper = HERE / "paper.md"
    paper.write_text(filled(paper.read_text(encoding="utf-8"), FOLDERS), encoding="utf-8")
    figures.draw(BUILD / "figures")
    article = expanded((HERE / "article.md").read_text(encoding="utf-8"), numbers())
    (BUILD / "article.md").write_text(article, encoding="utf-8")
    for name, source in (("paper", paper), ("article", BUILD / "article.md")):
        printed(name, source)


def spaced(text: str) -> str:
    """Markdown tables whose columns are as wide as their longest cells ask, the first one flush left."""
    return re.sub(r"(?:^\|.*\|\n)+", _spaced, text, flags=re.MULTILINE)


def _spaced(found: re.Match[str]) -> str:
    lines = found[0].splitlines()
    rows = [line.strip("|").split("|") for line in (lines[0], *lines[2:])]
    wide = [min(max(len(cell) for cell in column), 32) for column in zip(*rows, strict=True)]
    lines[1] = "|" + "|".join((":" if i == 0 else "-") + "-" * w for i, w in enumerate(wide)) + "|"
    return "\n".join(lines) + "\n"


def printed(name: str, source: Path) -> None:
    """One text as build/NAME.pdf."""
    import pypandoc
    import typst

    made = pypandoc.convert_text(
        spaced(source.read_text(encoding="utf-8")), "typst", format="markdown",
        extra_args=["--standalone", "--citeproc", f"--bibliography={HERE / 'paper.bib'}",
        "--metadata=author:The basismodels developers",
        "-V", "fontsize=10pt", "-V", "margin-x=2.4cm", "-V", "margin-y=2.4cm"],
    )  # fmt: skip
    text = BUILD / f"{name}.typ"
    text.write_text(made.replace("#show figure.where(", _LOOK + "#show figure.where(", 1), encoding="utf-8")
    typst.compile(str(text), output=str(BUILD / f"{name}.pdf"), root=str(ROOT))


def main() -> int:
    """Builds, or checks; returns the exit code."""
    if "--check" in sys.argv:
        wrong = check()
    else:
        build()
        wrong = []
    for fault in wrong:
        print(fault, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
