"""spin-hub: edit a language model's coupled fairness/privacy weights without training.

The verbs of the command line are functions here; they are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spin_hub.version import __version__

if TYPE_CHECKING:
    from spin_hub.artifacts.delta_file import read_delta
    from spin_hub.artifacts.publish import PushOptions
    from spin_hub.artifacts.verification import Difference, Verification
    from spin_hub.core.algebra import Overlap, overlap
    from spin_hub.core.delta import Delta
    from spin_hub.core.names import Part
    from spin_hub.errors import SpinHubError
    from spin_hub.exports.live import weight_patches
    from spin_hub.metrics.request import EvalRequest
    from spin_hub.models.edit import applied, apply_, revert_
    from spin_hub.recipe import Destination, ScoringRecipe, SelectionRecipe
    from spin_hub.workflows.calls import (
        apply,
        combine,
        edit,
        evaluate,
        export,
        plan,
        push,
        revert,
        score,
        select,
        sweep,
    )
    from spin_hub.workflows.card import card
    from spin_hub.workflows.diff import diff
    from spin_hub.workflows.edit import EditRequest
    from spin_hub.workflows.export import ExportRequest
    from spin_hub.workflows.inspect import inspect
    from spin_hub.workflows.load import from_pretrained, load_delta
    from spin_hub.workflows.reproduce import reproduce
    from spin_hub.workflows.sweep import SweepRequest
    from spin_hub.workflows.verify import verify

_PLACES = {
    "Delta": "core.delta",
    "Destination": "recipe",
    "Difference": "artifacts.verification",
    "EditRequest": "workflows.edit",
    "EvalRequest": "metrics.request",
    "ExportRequest": "workflows.export",
    "Overlap": "core.algebra",
    "Part": "core.names",
    "PushOptions": "artifacts.publish",
    "ScoringRecipe": "recipe",
    "SelectionRecipe": "recipe",
    "SpinHubError": "errors",
    "SweepRequest": "workflows.sweep",
    "Verification": "artifacts.verification",
    "applied": "models.edit",
    "apply": "workflows.calls",
    "apply_": "models.edit",
    "card": "workflows.card",
    "combine": "workflows.calls",
    "diff": "workflows.diff",
    "edit": "workflows.calls",
    "evaluate": "workflows.calls",
    "export": "workflows.calls",
    "from_pretrained": "workflows.load",
    "inspect": "workflows.inspect",
    "load_delta": "workflows.load",
    "overlap": "core.algebra",
    "plan": "workflows.calls",
    "push": "workflows.calls",
    "read_delta": "artifacts.delta_file",
    "reproduce": "workflows.reproduce",
    "revert": "workflows.calls",
    "revert_": "models.edit",
    "score": "workflows.calls",
    "select": "workflows.calls",
    "sweep": "workflows.calls",
    "verify": "workflows.verify",
    "weight_patches": "exports.live",
}

__all__ = [
    "Delta",
    "Destination",
    "Difference",
    "EditRequest",
    "EvalRequest",
    "ExportRequest",
    "Overlap",
    "Part",
    "PushOptions",
    "ScoringRecipe",
    "SelectionRecipe",
    "SpinHubError",
    "SweepRequest",
    "Verification",
    "__version__",
    "applied",
    "apply",
    "apply_",
    "card",
    "combine",
    "diff",
    "edit",
    "evaluate",
    "export",
    "from_pretrained",
    "inspect",
    "load_delta",
    "overlap",
    "plan",
    "push",
    "read_delta",
    "reproduce",
    "revert",
    "revert_",
    "score",
    "select",
    "sweep",
    "verify",
    "weight_patches",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'spin_hub' has no attribute {name!r}")
    return getattr(import_module(f"spin_hub.{_PLACES[name]}"), name)
