"""What to cite: the package, and the sources of the model and the estimator of a fit."""

from __future__ import annotations

import re
from importlib.resources import files

from basismodels.results import Fit


def cite(fit: Fit | None = None) -> str:
    """BibTeX for the package and, given a fit, for the sources of its model, its likelihood and its estimator."""
    from basismodels import __version__

    software = (
        "@software{basismodels, author = {{The basismodels developers}}, "
        "title = {basismodels: convergence of perpetual futures to spot, with its uncertainty}, "
        f"version = {{{__version__}}}}}"
    )
    known = _references()
    return "\n".join([software, *(known[key] for key in (() if fit is None else keys_of(fit)))]) + "\n"


def keys_of(fit: Fit) -> tuple[str, ...]:
    """Keys of a fit's sources, those of the model first."""
    several = fit.problem.layout.regimes > 1
    model = ["uhlenbeck1930", *(["hamilton1989"] if several else [])]
    likelihood = {"kalman": ["kalman1960"], "kim": ["kim1994"]}.get(fit.problem.engine.name, [])
    estimator = {"bootstrap": ["byrd1995", "efron1979"], "posterior": ["hoffman2014", "abrilpla2023"]}
    usual = ["byrd1995"] if several else ["byrd1995", "hansen1999"]
    return tuple(dict.fromkeys([*model, *likelihood, *estimator.get(fit.draws_kind, usual)]))


def _references() -> dict[str, str]:
    """Entries of the package's bibliography by key, one a line."""
    lines = (files("basismodels") / "data" / "references.bib").read_text(encoding="utf-8").splitlines()
    found = (re.match(r"@\w+\{([\w-]+),", line) for line in lines)
    return {match[1]: match.string for match in found if match}
