"""Regimes: a Markov chain in continuous time moves the parameters."""

from __future__ import annotations

from dataclasses import replace

from basismodels.errors import ModelError, real
from basismodels.model import Component, Model, as_model

MAX_REGIMES = 6


def Switching(
    model: Component | Model,
    regimes: int = 2,
    varies: str | tuple[str, ...] = ("kappa", "sigma", "tau"),
    transition: str = "1",
    chain_start: str = "stationary",
    max_step: float | None = None,
) -> Model:
    """The model in several regimes of a Markov chain in continuous time (Hamilton 1989; Kim 1994).

    `varies`: parameters that differ between regimes ("kappa" all its coefficients, "kappa:x" one slope; "sigma"
    stands for the innovation where the model has that instead); `transition`: formula of the log rates in 1/h;
    `chain_start`: "stationary" or "free"; `max_step`: longest step in hours over which the regime is held, default
    the median spacing.
    """
    inner = as_model(model)
    if inner.regimes != 1:
        raise ModelError("a switching model cannot switch again", remedy="raise regimes= instead")
    if not isinstance(regimes, int) or not 2 <= regimes <= MAX_REGIMES:
        raise ModelError(f"regimes must be a whole number from 2 to {MAX_REGIMES}, got {regimes!r}")
    if chain_start not in ("stationary", "free"):
        raise ModelError(f'chain_start must be "stationary" or "free", got {chain_start!r}')
    if max_step is not None:
        real(max_step, "max_step", above=0.0, remedy="max_step=1.0, in hours")
    several = isinstance(varies, list | tuple) and all(isinstance(v, str) for v in varies)
    if not (isinstance(varies, str) or several):
        raise ModelError(f"varies must be names of parameters, got {varies!r}", remedy='varies=("kappa", "sigma")')
    if not isinstance(transition, str):
        raise ModelError(f"transition must be a formula, got {transition!r}", remedy='transition="1"')
    return replace(
        inner,
        regimes=regimes,
        varies=_checked(inner, (varies,) if isinstance(varies, str) else tuple(varies)),
        transition=transition,
        chain_start=chain_start,
        max_step=max_step,
    )


def _checked(inner: Model, varies: tuple[str, ...]) -> tuple[str, ...]:
    known = [name for name in inner.formulas() if name in ("kappa", "theta", "sigma", "innovation", "nu", "tau")]
    volatility = "innovation" if "innovation" in known else "sigma"
    asked = (volatility if name == "sigma" else name for name in varies)
    kept = tuple(name for name in asked if name != "tau" or "tau" in known)
    unknown = [name for name in kept if name.split(":")[0] not in known]
    if unknown:
        raise ModelError(
            f"varies names what the model lacks or cannot switch; it has {', '.join(known)}", rows=unknown
        )
    if not kept:
        raise ModelError(
            f"varies is empty, so the regimes would be the same; choose among {', '.join(known)}"
        )
    return kept
