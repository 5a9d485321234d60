"""Errors of scoring and evaluation."""

from spin_hub.errors.base import SpinHubError


class NotFinite(SpinHubError):
    """A loss, gradient or importance that is NaN or infinite. Facts: what, where."""

    sentence = "{what} is not a finite number {where}."
    advice = "Score with --dtype float32; if that does not help, remove the example or check the model's weights."


class PartialDiffers(SpinHubError):
    """Finished layers of a scoring that was made from something else. Facts: path, what."""

    sentence = "{path} holds finished layers of another scoring: {what} changed since."
    advice = "Run the command as it was to go on with it, or remove that folder to begin anew."


class StudyDiffers(SpinHubError):
    """A study of something else than what is to be tried out. Facts: path, what."""

    sentence = "{path} is a study of something else: {what} changed since."
    advice = "Run the command as it was to go on with it, or begin anew with --overwrite."


class NothingGained(SpinHubError):
    """No edit that was tried moves the model to the aware answers within the limits. Facts: why."""

    sentence = "No edit was made, because {why}."
    advice = "Give --p and --q to make one all the same, other sets, or --yes to take the best that was found."


class JudgeUnreadable(SpinHubError):
    """A judge whose verdicts cannot be read. Facts: name, unparsed, n."""

    sentence = "{unparsed} of {n} verdicts of the judge {name} could not be read."
    advice = "At most a fifth may be; use another judge, or the guard model that this profile was made for."


class GuardUnusable(SpinHubError):
    """A guard model that cannot be asked. Facts: name, why."""

    sentence = "The judge {name} cannot be used: {why}."
    advice = "Use --judge lexical, a smaller guard model, or the one that this profile was made for."


class ModelsDiffer(SpinHubError):
    """Two models that cannot be measured side by side. Facts: model, base, why."""

    sentence = "{model} cannot be measured against {base}: {why}."
    advice = "--against takes a model with the same tokenizer, such as the one that this one was made from."


class NotReproducible(SpinHubError):
    """A delta that cannot be made again from its record. Facts: name, why."""

    sentence = "The delta of {name} cannot be made again: {why}."
    advice = "--base names the base where it was a local folder, and --set NAME=FILE the file of a set."


class ServerFailed(SpinHubError):
    """vLLM did not write the answers. Facts: why."""

    sentence = "vLLM did not write the answers: {why}."
    advice = "What it said stands above. Without --backend, transformers writes them."


class TasksUnusable(SpinHubError):
    """Tasks of lm-eval that cannot be run. Facts: why."""

    sentence = "The tasks cannot be run: {why}."
    advice = "`lm-eval ls tasks` lists the tasks; --task-dir names a folder with tasks of your own."


class NotToMeasure(SpinHubError):
    """A model that cannot be measured here. Facts: model, why."""

    sentence = "The edits of {model} cannot be tried out: {why}."
    advice = "Give --p and --q, and measure where the whole model fits into memory."


class MemoryTooSmall(SpinHubError):
    """A limit in which a model cannot be scored. Facts: how, limit, needed, parts."""

    sentence = "Scoring {how} does not fit into {limit}: it needs {needed} ({parts})."
    advice = "Raise --max-memory, or use --engine layerwise, --dtype bfloat16 or --max-length."
