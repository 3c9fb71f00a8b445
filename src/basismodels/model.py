"""What a component and a model are; `+`; formulas.

A component declares its parameters and holds one Wilkinson formula, or one fixed
number, for each. A model is a sum of components, in one regime or several.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError, real
from basismodels.params import INTERCEPT, Param

Formula = str | float | int
_LARGEST = 1e100


@dataclass(frozen=True)
class Component:
    """Base of the components: a frozen record with one formula or number per parameter."""

    params: ClassVar[dict[str, Param]] = {}

    def __add__(self, other: Component | Model) -> Model:
        return Model((self,)) + other

    def formulas(self) -> dict[str, Formula]:
        """Formula or fixed number of each declared parameter, by the parameter's full name."""
        given = {param.name: getattr(self, attribute) for attribute, param in self.params.items()}
        found = {name: value for name, value in given.items() if value is not None}
        for name, value in found.items():
            if not isinstance(value, str) and abs(real(value, name, remedy=f'{name}="1", or a number')) > _LARGEST:
                raise ModelError(f"{name} cannot be fixed at {value:g}")
        return found

    def __repr__(self) -> str:
        shown = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True)
class Model:
    """A sum of components, in `regimes` regimes.

    `varies`: which parameters, or single slopes such as "kappa:x", differ between
    regimes; `transition`: formula of the log rates; `chain_start`: "stationary" or
    "free"; `max_step`: longest step in hours over which the regime is held.
    """

    parts: tuple[Component, ...]
    regimes: int = 1
    varies: tuple[str, ...] = ()
    transition: str = "1"
    chain_start: str = "stationary"
    max_step: float | None = None

    def __add__(self, other: Component | Model) -> Model:
        added = other.parts if isinstance(other, Model) else (other,)
        if self.regimes > 1 or (isinstance(other, Model) and other.regimes > 1):
            raise ModelError(
                "a switching model cannot be added to",
                remedy="put the sum inside: Switching(OU() + Noise(), regimes=2)",
            )
        kinds = [type(part).__name__ for part in (*self.parts, *added)]
        twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
        if twice:
            raise ModelError(f"a model takes each component once, got {' + '.join(kinds)}", rows=twice)
        return replace(self, parts=(*self.parts, *added))

    def formulas(self) -> dict[str, Formula]:
        """Formula or fixed number of every parameter of the model."""
        found: dict[str, Formula] = {}
        for part in self.parts:
            found.update(part.formulas())
        return found

    def written(self) -> dict[str, str]:
        """Formula of every parameter that has columns: a number that stands on a column is a formula of that column."""
        declared = self.params()
        return {
            name: formula if isinstance(formula, str) else f"0 + {declared[name].column}"
            for name, formula in self.formulas().items()
            if isinstance(formula, str) or (name in declared and declared[name].column)
        }

    def words(self) -> set[str]:
        """Words of all formulas: the columns they name, and what they do with them."""
        return {word for formula in (*self.written().values(), self.transition) for word in re.findall(r"\w+", formula)}

    def params(self) -> dict[str, Param]:
        """Declared parameters of the model by name."""
        return {param.name: param for part in self.parts for param in part.params.values()}

    def __repr__(self) -> str:
        inner = " + ".join(repr(part) for part in self.parts)
        if self.regimes == 1:
            return inner
        extra = f", varies={self.varies!r}"
        if self.transition != "1":
            extra += f", transition={self.transition!r}"
        if self.chain_start != "stationary":
            extra += f", chain_start={self.chain_start!r}"
        if self.max_step is not None:
            extra += f", max_step={self.max_step!r}"
        return f"Switching({inner}, regimes={self.regimes}{extra})"


def as_model(model: Component | Model) -> Model:
    """A model from a model or a single component; ModelError without an OU component."""
    made = Model((model,)) if isinstance(model, Component) else model
    if not isinstance(made, Model):
        raise ModelError(f"expected a model such as OU() + Noise(), got {type(model).__name__}")
    if "kappa" not in made.formulas():
        raise ModelError(f"a model needs one OU component, got {made!r}", remedy="OU() + ...")
    return made


@dataclass(frozen=True)
class Design:
    """Columns of one formula: their names and values (rows, q); `spec` makes the same columns of new data.

    `kept`: which of the columns of `spec` these are, None for all.
    """

    columns: tuple[str, ...]
    values: NDArray[np.float64]
    spec: object = None
    kept: tuple[int, ...] | None = None

    def without(self, names: set[str]) -> Design:
        """The same columns but these."""
        kept = [i for i, column in enumerate(self.columns) if column not in names]
        where = kept if self.kept is None else [self.kept[i] for i in kept]
        return Design(tuple(self.columns[i] for i in kept), self.values[:, kept], self.spec, tuple(where))


def design(name: str, formula: Formula, frame: pd.DataFrame) -> Design:
    """Design matrix of a formula over a data frame; an intercept alone bypasses `formulaic`.

    Errors: ModelError for a formula that does not parse or names an absent column.
    """
    if isinstance(formula, str) and formula.strip() == "1":
        return Design((INTERCEPT,), np.ones((len(frame), 1)))
    if not isinstance(formula, str):
        raise ModelError(f"{name} must be a formula or a number, got {formula!r}")
    import formulaic
    from formulaic.errors import FormulaicError

    try:
        parsed = formulaic.Formula(formula)
        _only_known_calls(name, formula, parsed, frame)
        _require_columns(name, formula, parsed, frame)
        first = _first_known(formula, frame)
        matrix = parsed.get_model_matrix(frame.iloc[first:], na_action="ignore", output="pandas")
    except (FormulaicError, SyntaxError, NameError, TypeError, AttributeError) as error:
        raise ModelError(f"the formula {name}={formula!r} does not work: {error}") from error
    columns = tuple(str(column) for column in matrix.columns)
    if not columns:
        raise ModelError(f"the formula {name}={formula!r} has no column", remedy="a number instead: theta=0.0")
    values = np.full((len(frame), len(columns)), np.nan)
    values[first:] = np.asarray(matrix, dtype=float)
    return Design(columns, values, matrix.model_spec)


_CALLS = frozenset(
    (
        "I", "abs", "bs", "cc", "center", "cr", "cs", "exp", "exp10", "exp2", "lag", "log", "log10", "log2", "poly",
        "scale", "standardize",
    )
)  # fmt: skip


_NODES = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Call, ast.operator, ast.unaryop, ast.Load)


def _only_known_calls(name: str, formula: str, parsed: Any, frame: pd.DataFrame) -> None:
    """Refuses a formula whose factors are more than columns, numbers, operators and known transforms.

    The syntax tree of each factor is held to a white list, for what is evaluated runs as code.
    """
    factors = {str(factor.expr) for term in parsed for factor in term.factors}
    odd = sorted(expr for expr in factors - set(map(str, frame.columns)) if not _harmless(expr))
    if odd:
        raise ModelError(
            f"the formula {name}={formula!r} holds more than columns, numbers, operators and transforms",
            rows=odd, remedy=f"compute it as a column first; transforms are {', '.join(sorted(_CALLS))}",
        )  # fmt: skip


def _harmless(expr: str) -> bool:
    try:
        tree = ast.parse(expr.strip(), mode="eval")
    except SyntaxError:
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if not (isinstance(node.func, ast.Name) and node.func.id in _CALLS):
                return False
        elif isinstance(node, ast.keyword):
            continue
        elif not isinstance(node, _NODES) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)):
            return False
    return True


def _first_known(formula: str, frame: pd.DataFrame) -> int:
    """First row from which every column the formula names is known, so that centring is not spoilt by rows before."""
    words = set(re.findall(r"\w+", formula))
    needed = [column for column in frame.columns if column in words]
    known = frame[needed].notna().all(axis=1).to_numpy() if needed else np.ones(len(frame), dtype=bool)
    return int(np.argmax(known)) if known.any() else 0


def _require_columns(name: str, formula: str, parsed: object, frame: pd.DataFrame) -> None:
    needed = [str(variable) for variable in getattr(parsed, "required_variables", ())]
    absent = [variable for variable in needed if variable not in frame.columns]
    if absent:
        known = ", ".join(map(str, frame.columns)) or "none"
        raise ModelError(
            f"the formula {name}={formula!r} names a column the data lack; they have {known}",
            rows=absent,
            remedy="pass it as covariates= in BasisSeries.from_prices, or add the column to the file",
        )


def design_again(made: Design, frame: pd.DataFrame) -> NDArray[np.float64]:
    """The same columns for new data."""
    if made.spec is None:
        return np.ones((len(frame), 1))
    matrix = made.spec.get_model_matrix(frame, na_action="ignore", output="pandas")  # type: ignore[attr-defined]
    values = np.asarray(matrix, dtype=float)
    return values if made.kept is None else values[:, made.kept]


def designs_again(designs: dict[str, Design], frame: pd.DataFrame) -> dict[str, Design]:
    """The same columns of every formula over another frame, centred and scaled as before; ModelError where one lacks.

    What a transform learnt of the first data (a mean, a scale, knots) holds, for the coefficients rest on it.
    """
    from formulaic.errors import FormulaicError

    again = {}
    for name, made in designs.items():
        formula = str(getattr(made.spec, "formula", "1"))
        _require_columns(name, formula, made.spec, frame)
        first = _first_known(formula, frame)
        values = np.full((len(frame), len(made.columns)), np.nan)
        try:
            values[first:] = design_again(made, frame.iloc[first:])
        except (FormulaicError, ValueError) as error:
            raise ModelError(f"the formula {name}={formula!r} does not work on these data: {error}") from error
        again[name] = replace(made, values=values)
    return again
