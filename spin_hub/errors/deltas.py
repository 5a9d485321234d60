"""Errors of deltas, and of the models that they are made for and applied to."""

from spin_hub.errors.base import SpinHubError


class DeltaNotFound(SpinHubError):
    """No delta, ranking or edited model at a path. Facts: path, what."""

    sentence = "There is no {what} at {path}."
    advice = "Give a folder or a file that spin-hub wrote."


class ArtefactNotFound(SpinHubError):
    """A delta or an edited model that is neither here nor on the Hub. Facts: what, name, why."""

    sentence = "The {what} {name!r} was not found: {why}."
    advice = "Give a file or folder that spin-hub wrote, or a Hub id such as org/name or org/name@revision."


class DeltaMismatch(SpinHubError):
    """A delta that does not belong to this checkpoint. Facts: path, why."""

    sentence = "The delta does not belong to {path}: {why}."
    advice = "Apply it to the base model that it names (see `spin-hub inspect`)."


class Unrelated(SpinHubError):
    """A model that does not come from a delta's base, as far as can be seen. Facts: model, base, why."""

    sentence = "{model} does not seem to come from {base}: {why}."
    advice = "Name the right variant; --force applies the delta all the same."


class BaseChanged(SpinHubError):
    """The delta's own base, with other weights than the delta was made for. Facts: model, shard, at."""

    sentence = "{model} has changed since the delta was made: its {shard} is another file (sha256)."
    advice = "Apply it to the commit that it was made for, {at}, or add --force to apply it to this one."


class BaseUnknown(SpinHubError):
    """A delta of a local base, whose place it does not say. Facts: delta."""

    sentence = "The delta {delta!r} was made for a local folder, and does not say which."
    advice = "Name the base: spin_hub.from_pretrained(delta, base=FOLDER)."


class BaseNotNamed(SpinHubError):
    """An edit of a local base, whose place it does not say. Facts: edited."""

    sentence = "{edited} was made from a local folder, and does not say which."
    advice = "Name the base: --base FOLDER."


class BasesDiffer(SpinHubError):
    """Two deltas that are not of one base. Facts: why."""

    sentence = "The two deltas are not of one base: {why}."
    advice = "Only deltas of the same model at the same commit can be combined or compared (see `spin-hub inspect`)."


class NotEditable(SpinHubError):
    """A parameter of a loaded model in which no single weight can be set. Facts: what, why."""

    sentence = "{what} cannot be edited in the loaded model: {why}."
    advice = "Give the model as transformers loads it, unquantised; or load an edited checkpoint (`spin-hub apply`)."


class ModelChanged(SpinHubError):
    """A loaded model whose touched weights are neither the delta's originals nor zero. Facts: changed, weights, what,
    advice.
    """

    sentence = (
        "{changed:,} of the {weights:,} weights are neither the delta's originals nor zero in the loaded model "
        "(the first of them in {what})."
    )
    advice = "{advice}"


class RevertFailed(SpinHubError):
    """A reverted file that is not the base's, byte for byte. Facts: path, why."""

    sentence = "{path} cannot be reverted: {why}."
    advice = "Take the base model itself instead."
