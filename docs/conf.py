"""Sphinx settings; what is generated (notebooks, bibliography) is made here at every build."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

import basismodels  # noqa: E402

project = "basismodels"
author = "The basismodels developers"
copyright = "The basismodels developers, MIT licence"
version = release = basismodels.__version__

extensions = [
    "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_nb",
]  # fmt: skip
exclude_patterns = ["conf.py", "_build", "**.ipynb_checkpoints", "README.md"]
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_render_markdown_format = "myst"
nb_execution_cache_path = str(ROOT / "build" / "docs-cache")
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "fieldlist"]
myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False
python_use_unqualified_type_names = True

html_math_renderer = "mathml"
html_sidebars = {"**": []}
html_theme = "pydata_sphinx_theme"
html_title = "basismodels"
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 4,
    "use_edit_page_button": False,
    "show_prev_next": False,
}
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["plain.css"]

os.environ.setdefault("BASISMODELS_NOTEBOOK", "example")


def notebooks() -> None:
    """The notebooks, as they stand, beside the pages."""
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    sources = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
    for old in set(target.glob("*.py")) - {target / s.name for s in sources}:
        old.unlink()
    for source in sources:
        made = target / source.name
        if not made.exists() or made.read_text(encoding="utf-8") != source.read_text(encoding="utf-8"):
            shutil.copyfile(source, made)
    names = "\n".join(f"notebooks/{source.stem}" for source in sources)
    said = "Executed on the embedded, simulated example; `make notebooks` runs them on real data where there are any."
    page = f"# Notebooks\n\n{said}\n\n```{{toctree}}\n:maxdepth: 1\n\n{names}\n```\n"
    (HERE / "notebooks.md").write_text(page, encoding="utf-8")


def references() -> None:
    """The papers', the package's and these pages' bibliographies as a page."""
    lines = ["# References", ""]
    files = (ROOT / "paper" / "paper.bib", ROOT / "src" / "basismodels" / "data" / "references.bib", HERE / "more.bib")
    texts = [entry for file in files for entry in re.split(r"\n(?=@)", file.read_text(encoding="utf-8"))]
    entries = {entry.split(",")[0]: dict(_fields(entry)) for entry in texts if entry.startswith("@")}
    for one in sorted(entries.values(), key=lambda entry: (entry.get("author", ""), entry.get("year", ""))):
        where = one.get("journal") or one.get("booktitle") or one.get("publisher") or f"arXiv:{one.get('eprint', '')}"
        doi = f" [doi:{one['doi']}](https://doi.org/{one['doi']})" if "doi" in one else ""
        lines.append(f"- {one.get('author', '')} ({one.get('year', '')}). {one.get('title', '')}. *{where}*.{doi}")
    (HERE / "references.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _fields(entry: str) -> list[tuple[str, str]]:
    found = re.findall(r"(\w+)\s*=\s*\{((?:[^{}]|\{[^{}]*\})*)\}", entry)
    plain = [(key.lower(), re.sub(r"[{}\\]", "", value)) for key, value in found]
    return [(key, value.replace(" and ", "; ") if key == "author" else value) for key, value in plain]


def forgotten() -> None:
    """Outputs kept from an earlier build are dropped where a table they show is newer."""
    cache, marker = Path(nb_execution_cache_path), ROOT / "build" / ".docs-tables"
    folders = ("benchmarks/results", "tests/slow", "paper/tables")
    tables = [table for folder in folders for table in (ROOT / folder).glob("*.csv")]
    newest = max((table.stat().st_mtime for table in tables), default=0.0)
    if cache.exists() and (not marker.exists() or marker.stat().st_mtime < newest):
        shutil.rmtree(cache)
    marker.parent.mkdir(exist_ok=True)
    marker.touch()


def setup(app):  # type: ignore[no-untyped-def]
    """Formulas as MathML, which browsers draw without a script from elsewhere."""
    from docutils import nodes
    from latex2mathml.converter import convert

    def written(display: str):  # type: ignore[no-untyped-def]
        def visit(self, node):  # type: ignore[no-untyped-def]
            tag = "div" if display == "block" else "span"
            self.body.append(f'<{tag} class="math">{convert(node.astext(), display=display)}</{tag}>')
            raise nodes.SkipNode

        return visit

    app.add_html_math_renderer("mathml", (written("inline"), None), (written("block"), None))


forgotten()
notebooks()
references()
