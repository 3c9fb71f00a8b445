"""Funding: the rules of venues, the covariates that follow from them, and the loop from basis to funding and back.

    import basismodels as bm

    rule = bm.funding.rule("binance", "BTCUSDT", at="2024-01-01")
    data = bm.funding.attach(data, rule)
    bm.fit(bm.preset("funding"), data)

Names load when they are first used.
"""

from __future__ import annotations

from importlib import import_module

_HOMES = {
    "funding.mechanism": ("Rule", "Dynamic"),
    "funding.registry": ("rule", "custom", "eras", "venues"),
    "funding.covariates": ("attach", "rule_of", "COVARIATES", "Covariate"),
    "inference.closed_loop": ("simulate", "premium_link", "PremiumLink"),
    "inference.closed_bootstrap": ("closed_bootstrap",),
    "estimands.counterfactual": ("counterfactual",),
}
_HOME_OF = {name: f"basismodels.{home}" for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'basismodels.funding' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
