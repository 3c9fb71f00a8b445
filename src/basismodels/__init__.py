"""How fast, how surely and whether a perpetual future's price converges to spot.

    import basismodels as bm

    data = bm.load_example()
    fit = bm.fit(bm.OU() + bm.SlowOU() + bm.Noise(), data)
    bm.half_life(fit)
    bm.failure_probability(fit)

Public names load when they are first used, so that the import itself stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "series": ("BasisSeries",),
    "quality": ("check", "Quality"),
    "sources.files": ("read", "from_frame"),
    "sources.example": ("load_example",),
    "sources.panel": ("read_panel", "Panel"),
    "components.ou": ("OU",),
    "components.slow": ("SlowOU",),
    "components.noise": ("Noise",),
    "components.settlement": ("Settlement",),
    "components.switching": ("Switching",),
    "model": ("Model",),
    "presets": ("preset", "parse_model"),
    "results": ("Fit", "Estimate"),
    "store": ("save", "load"),
    "inference.mle": ("fit",),
    "inference.many": ("fit_many", "Fits"),
    "inference.intervals": ("conf_int",),
    "inference.bootstrap": ("bootstrap",),
    "inference.simulate": ("simulate",),
    "inference.draws": ("draws_of",),
    "inference.posterior": ("sample",),
    "inference.panel": ("sample_panel", "PanelFit"),
    "inference.pymc_model": ("to_pymc",),
    "params": ("Prior",),
    "inference.online": ("update",),
    "inference.particle": ("particle_loglik",),
    "inference.point": ("point_estimates",),
    "inference.lr_test": ("likelihood_ratio_test",),
    "inference.switching_screen": ("switching_screen",),
    "estimands.reversion": ("reversion_test",),
    "inference.refilter": ("refilter",),
    "estimands.convergence": ("half_life", "stationary_sd"),
    "estimands.passage": ("convergence_probability", "inside_probability", "level_passage"),
    "estimands.failure": ("failure_probability", "failure_regimes"),
    "estimands.rolling": ("rolling",),
    "estimands.funding_diagnostic": ("funding_diagnostic", "FundingDiagnostic"),
    "estimands.speed_curve": ("speed_curve",),
    "estimands.outlook": ("failure_outlook",),
    "estimands.carry": ("carry",),
    "estimands.return_time": ("expected_return_time",),
    "estimands.forecast": ("forecast",),
    "estimands.joint": ("joint_failure", "JointFailure"),
    "scoring.table": ("compare",),
    "scoring.calibration": ("sbc", "SBC"),
    "scoring.rolling_origin": ("rolling_origin",),
    "scoring.tests": ("dm_test", "gw_test"),
    "scoring.confidence_set": ("confidence_set",),
    "scoring.stacking": ("stacking_weights",),
    "scoring.leave_future_out": ("leave_future_out",),
    "scoring.residuals": ("residuals",),
    "scoring.sampling": ("sampling_check",),
    "report.html": ("write_report",),
    "report.citations": ("cite",),
    "errors": ("BasismodelsError", "DataError", "ModelError", "StoreError"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, "__version__"])


_MODULES = ("funding",)


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"basismodels.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'basismodels' has no attribute {name!r}")
    value = getattr(import_module(f"basismodels.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from basismodels import funding as funding
    from basismodels.components.noise import Noise as Noise
    from basismodels.components.ou import OU as OU
    from basismodels.components.settlement import Settlement as Settlement
    from basismodels.components.slow import SlowOU as SlowOU
    from basismodels.components.switching import Switching as Switching
    from basismodels.errors import BasismodelsError as BasismodelsError
    from basismodels.errors import DataError as DataError
    from basismodels.errors import ModelError as ModelError
    from basismodels.errors import StoreError as StoreError
    from basismodels.estimands.carry import carry as carry
    from basismodels.estimands.convergence import half_life as half_life
    from basismodels.estimands.convergence import stationary_sd as stationary_sd
    from basismodels.estimands.failure import failure_probability as failure_probability
    from basismodels.estimands.failure import failure_regimes as failure_regimes
    from basismodels.estimands.forecast import forecast as forecast
    from basismodels.estimands.funding_diagnostic import FundingDiagnostic as FundingDiagnostic
    from basismodels.estimands.funding_diagnostic import funding_diagnostic as funding_diagnostic
    from basismodels.estimands.joint import JointFailure as JointFailure
    from basismodels.estimands.joint import joint_failure as joint_failure
    from basismodels.estimands.outlook import failure_outlook as failure_outlook
    from basismodels.estimands.passage import convergence_probability as convergence_probability
    from basismodels.estimands.passage import inside_probability as inside_probability
    from basismodels.estimands.passage import level_passage as level_passage
    from basismodels.estimands.return_time import expected_return_time as expected_return_time
    from basismodels.estimands.reversion import reversion_test as reversion_test
    from basismodels.estimands.rolling import rolling as rolling
    from basismodels.estimands.speed_curve import speed_curve as speed_curve
    from basismodels.inference.bootstrap import bootstrap as bootstrap
    from basismodels.inference.draws import draws_of as draws_of
    from basismodels.inference.intervals import conf_int as conf_int
    from basismodels.inference.lr_test import likelihood_ratio_test as likelihood_ratio_test
    from basismodels.inference.many import Fits as Fits
    from basismodels.inference.many import fit_many as fit_many
    from basismodels.inference.mle import fit as fit
    from basismodels.inference.online import update as update
    from basismodels.inference.panel import PanelFit as PanelFit
    from basismodels.inference.panel import sample_panel as sample_panel
    from basismodels.inference.particle import particle_loglik as particle_loglik
    from basismodels.inference.point import point_estimates as point_estimates
    from basismodels.inference.posterior import sample as sample
    from basismodels.inference.pymc_model import to_pymc as to_pymc
    from basismodels.inference.refilter import refilter as refilter
    from basismodels.inference.simulate import simulate as simulate
    from basismodels.inference.switching_screen import switching_screen as switching_screen
    from basismodels.model import Model as Model
    from basismodels.params import Prior as Prior
    from basismodels.presets import parse_model as parse_model
    from basismodels.presets import preset as preset
    from basismodels.quality import Quality as Quality
    from basismodels.quality import check as check
    from basismodels.report.citations import cite as cite
    from basismodels.report.html import write_report as write_report
    from basismodels.results import Estimate as Estimate
    from basismodels.results import Fit as Fit
    from basismodels.scoring.calibration import SBC as SBC
    from basismodels.scoring.calibration import sbc as sbc
    from basismodels.scoring.confidence_set import confidence_set as confidence_set
    from basismodels.scoring.leave_future_out import leave_future_out as leave_future_out
    from basismodels.scoring.residuals import residuals as residuals
    from basismodels.scoring.rolling_origin import rolling_origin as rolling_origin
    from basismodels.scoring.sampling import sampling_check as sampling_check
    from basismodels.scoring.stacking import stacking_weights as stacking_weights
    from basismodels.scoring.table import compare as compare
    from basismodels.scoring.tests import dm_test as dm_test
    from basismodels.scoring.tests import gw_test as gw_test
    from basismodels.series import BasisSeries as BasisSeries
    from basismodels.sources.example import load_example as load_example
    from basismodels.sources.files import from_frame as from_frame
    from basismodels.sources.files import read as read
    from basismodels.sources.panel import Panel as Panel
    from basismodels.sources.panel import read_panel as read_panel
    from basismodels.store import load as load
    from basismodels.store import save as save
