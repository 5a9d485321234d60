"""Errors of what is written."""

from spin_hub.errors.base import SpinHubError


class OutputExists(SpinHubError):
    """An output that is there already. Facts: path."""

    sentence = "The output {path} exists already and is not empty."
    advice = "Choose another with --output, or replace it with --overwrite."


class OutputNotAllowed(SpinHubError):
    """An output in a place that must not be written. Facts: path, why."""

    sentence = "The output cannot be written to {path}: {why}."
    advice = "Choose another place with --output."


class NoSpace(SpinHubError):
    """Not enough room on the disk. Facts: path, needed, free."""

    sentence = "There is no room for the output at {path}: {needed} needed, {free} free."
    advice = "Free some space, choose another disk with --output, or write only the delta with --as delta."
