"""Errors of adapters."""

from spin_hub.errors.base import SpinHubError


class AdapterRefused(SpinHubError):
    """An edit that no adapter can hold. Facts: what, why."""

    sentence = "{what} cannot become part of an adapter: {why}."
    advice = "Use the delta itself: `spin-hub apply` writes the whole edited model."


class NotTheBase(SpinHubError):
    """A model for which a delta gives no adapter. Facts: model, why."""

    sentence = "No adapter of this delta is right for {model}: {why}."
    advice = (
        "An adapter adds to the base's weights, so it is right for the delta's own base alone. For another model, "
        "apply the delta to it (`spin-hub apply`) and export what comes out."
    )


class RankTooLarge(SpinHubError):
    """A LoRA of a rank that servers hardly take. Facts: rank, size, limit."""

    sentence = "The exact LoRA needs rank {rank} ({size}), above {limit}."
    advice = "Add --yes to write it all the same, use --as peft, or select fewer weights."


class PeftTooOld(SpinHubError):
    """A version of PEFT that lacks a type of adapter. Facts: version, type, needed, otherwise."""

    sentence = "peft {version}, which is installed, has no adapters of type {type}."
    advice = "Install peft {needed} or newer{otherwise}."
