"""The registered models, and models written as expressions."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from basismodels.components.noise import Noise
from basismodels.components.ou import OU
from basismodels.components.settlement import Settlement
from basismodels.components.slow import SlowOU
from basismodels.components.switching import Switching
from basismodels.errors import ModelError
from basismodels.model import Component, Model, as_model

PRESETS: dict[str, Callable[[], Model]] = {
    "random-walk": lambda: as_model(OU(kappa=0)),
    "ou": lambda: as_model(OU()),
    "ou-noise": lambda: OU() + Noise(),
    "two-factor": lambda: OU() + SlowOU() + Noise(),
    "switching-ou": lambda: Switching(OU(), regimes=2),
    "switching-level": lambda: Switching(OU() + Noise(), regimes=2, varies=("kappa", "theta", "sigma", "tau")),
    "switching-failure": lambda: Switching(
        OU() + SlowOU() + Noise(), regimes=2, varies=("kappa", "theta", "sigma")
    ),
    "funding": lambda: (
        OU(kappa="1 + funding_pressure + premium_pressure", theta="1 + funding_gap + premium_mean") + Noise()
    ),
    "funding-switching": lambda: Switching(
        OU() + SlowOU() + Noise(), regimes=2, transition="1 + funding_utilisation + funding_saturated"
    ),
    "switching-two-factor": lambda: Switching(OU() + SlowOU() + Noise(), regimes=2),
}

_CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "OU": OU, "SlowOU": SlowOU, "Noise": Noise, "Settlement": Settlement, "Switching": Switching,
}  # fmt: skip


def preset(name: str) -> Model:
    """A registered model by name; ModelError lists them."""
    if not isinstance(name, str) or name not in PRESETS:
        raise ModelError(f"no registered model {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]()


def parse_model(text: str) -> Model:
    """A registered name, or an expression in OU, SlowOU, Noise, Settlement, Switching and +.

    The expression is read from its syntax tree against a white list; nothing is evaluated.
    """
    if not isinstance(text, str):
        raise ModelError(f"a model is written as text, got {text!r}", remedy=f"one of {', '.join(PRESETS)}")
    if text.strip() in PRESETS:
        return preset(text.strip())
    if text.strip() and "(" not in text:
        raise ModelError(
            f"no registered model {text.strip()!r}; there are {', '.join(PRESETS)}; "
            "anything else is an expression such as OU() + Noise()"
        )
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ModelError(
            f"{text!r} is neither a registered model ({', '.join(PRESETS)}) nor an expression such as OU() + Noise()"
        ) from error
    found = _read(tree.body, text)
    if not isinstance(found, Component | Model):
        raise ModelError(f"{text!r} is not a model; there are {', '.join(PRESETS)}")
    try:
        return as_model(found)
    except TypeError as error:
        raise ModelError(f"{text!r}: {error}") from error


def _read(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _read(node.left, text), _read(node.right, text)
        if isinstance(left, Component | Model) and isinstance(right, Component | Model):
            return left + right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CONSTRUCTORS:
        return _call(node, text)
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | bool | None):
        return node.value
    if (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and isinstance(node.operand, ast.Constant)
    ):
        return -node.operand.value  # type: ignore[operator]
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_read(item, text) for item in node.elts)
    allowed = ", ".join((*_CONSTRUCTORS, "+", "names, numbers, strings and tuples as arguments"))
    raise ModelError(f"{ast.unparse(node)!r} in {text!r} is not allowed in a model; allowed are {allowed}")


def _call(node: ast.Call, text: str) -> Any:
    assert isinstance(node.func, ast.Name)
    args = [_read(arg, text) for arg in node.args]
    named = {str(keyword.arg): _read(keyword.value, text) for keyword in node.keywords if keyword.arg}
    try:
        return _CONSTRUCTORS[node.func.id](*args, **named)
    except TypeError as error:
        raise ModelError(f"{ast.unparse(node)!r}: {error}") from error


def split_models(text: str) -> list[str]:
    """Splits at commas outside brackets and quotes: "ou,Switching(OU(), regimes=2)" is two models."""
    parts, depth, quote, start = [], 0, "", 0
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]
