"""Errors of ratios, expressions and rankings."""

from spin_hub.errors.base import SpinHubError, UsageError


class RatioOutOfRange(UsageError):
    """A ratio outside the open interval (0, 1). Facts: name, value."""

    sentence = "The ratio {name} is {value}, but it must lie strictly between 0 and 1."
    advice = "The paper uses p = q = 5e-7; small models need larger ratios."


class ExpressionError(UsageError):
    """A set expression that does not parse. Facts: text, position, expected."""

    sentence = "The expression {text!r} does not parse at position {position}: expected {expected}."
    advice = "Write sets by name with &, |, - and parentheses, for example '(fairness & privacy) - general'."


class UnknownSet(UsageError):
    """An expression or ratio names a calibration set that does not exist. Facts: name, known."""

    sentence = "There is no calibration set named {name!r} here."
    advice = "Known sets: {known}. Add one with --set NAME=SPEC."


class RatioTooSmall(SpinHubError):
    """A ratio that selects no weight in any matrix. Facts: name, value, largest, smallest."""

    sentence = "{name} = {value} selects no weight: the largest matrix has {largest} weights."
    advice = "The smallest useful ratio for this model is {smallest}."


class EmptySelection(SpinHubError):
    """Nothing is left to edit. Facts: counts, advice."""

    sentence = "The selection is empty: {counts}."
    advice = "{advice}"


class RatioBeyondRanking(SpinHubError):
    """A ratio larger than what the ranking kept. Facts: name, value, kept."""

    sentence = "{name} = {value} needs more weights than the ranking kept (its ratio is {kept})."
    advice = "Score again with --keep {value}."


class RankingMismatch(SpinHubError):
    """A ranking that was not made for what is asked of it. Facts: why."""

    sentence = "This ranking cannot be used for that: {why}."
    advice = "Score again with the options that you need."
