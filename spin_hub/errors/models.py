"""Errors of models, checkpoints and files."""

from spin_hub.errors.base import SpinHubError


class ModelNotFound(SpinHubError):
    """Neither a folder nor a reachable Hub id. Facts: model, why."""

    sentence = "The model {model!r} was not found: {why}."
    advice = "Give a folder with a safetensors checkpoint, or a Hub id such as org/name or org/name@revision."


class AccessDenied(SpinHubError):
    """A private or gated repo that the token may not read. Facts: model, why, page."""

    sentence = "Access to {model!r} is denied: {why}."
    advice = "Ask for access at {page} and log in with `hf auth login`."


class HubUnreachable(SpinHubError):
    """The Hub cannot be reached and the cache does not have the model. Facts: model, why."""

    sentence = "The Hub could not be reached for {model!r}, and the local cache does not hold it: {why}."
    advice = "Check the network, or give a local folder."


class NoSafetensors(SpinHubError):
    """A model folder without safetensors weights. Facts: path, others."""

    sentence = "{path} holds no safetensors weights (found: {others})."
    advice = (
        "Convert them first: load the model with transformers and call save_pretrained(folder), "
        "which writes safetensors."
    )


class CorruptFile(SpinHubError):
    """A file that is truncated or does not follow its format. Facts: path, why."""

    sentence = "{path} is damaged or not what it should be: {why}."
    advice = "Download or write the file again."


class DownloadDamaged(CorruptFile):
    """A downloaded file that is not the one that the Hub has. Facts: path, repo_id."""

    sentence = "{path} in the cache is not the file that {repo_id} has on the Hub (sha256)."
    advice = "Remove the repo from the cache (`hf cache rm model/{repo_id}`) and run the command again."


class UnsupportedFormat(SpinHubError):
    """A file of a format or operation that this version does not know. Facts: path, what."""

    sentence = "{path} has {what}, which this version of spin-hub does not know."
    advice = "Update spin-hub."


class QuantisedCheckpoint(SpinHubError):
    """A quantised or packed checkpoint, in which a weight has no place of its own. Facts: path, method."""

    sentence = "{path} is quantised ({method}): its weights are packed or scaled, so no single weight can be edited."
    advice = "Edit the unquantised model, then quantise the edited one."


class NotCausal(SpinHubError):
    """A model that is not a decoder with a language-model head. Facts: path, architecture."""

    sentence = "{path} is not a causal language model (its config says {architecture})."
    advice = "spin-hub edits decoder models that transformers loads with AutoModelForCausalLM."


class ModelNotLoadable(SpinHubError):
    """transformers refuses the model. Facts: path, why."""

    sentence = "transformers could not load {path}: {why}."
    advice = "If the model needs its own code, read that code and add --trust-remote-code."


class CoordinatesDiffer(SpinHubError):
    """A parameter in memory is not the checkpoint's tensor, bit by bit. Facts: parameter, why."""

    sentence = "The parameter {parameter} cannot be found again in the checkpoint: {why}."
    advice = "This version edits only parameters whose checkpoint tensor has the same name, shape and values."


class UnsupportedModel(SpinHubError):
    """An architecture that the engine cannot score correctly. Facts: what, why."""

    sentence = "{what} cannot be scored: {why}."
    advice = "Choose other parameters with --target, for example --target mlp or a pattern of names."


class NoTarget(SpinHubError):
    """A target pattern that matches no linear weight. Facts: target, examples."""

    sentence = "The target {target!r} matches no linear weight of the model's decoder layers."
    advice = "Use mlp, self_attn, all, or a glob pattern of names such as {examples}."


class DeviceUnavailable(SpinHubError):
    """A device that this machine does not have, or on which nothing can be computed. Facts: device, why."""

    sentence = "The device {device!r} is not available here: {why}."
    advice = "Use --device cpu, or --device auto to take what is there; spin-hub env shows what this machine has."


class PrecisionUnavailable(SpinHubError):
    """A precision in which a device computes nothing. Facts: dtype, device, why."""

    sentence = "{dtype} cannot be computed on {device}: {why}."
    advice = "Leave --dtype out to take a precision that works here, or use --dtype float32."


class DeviceOutOfMemory(SpinHubError):
    """The device's memory does not suffice. Facts: device, why."""

    sentence = "The device {device} ran out of memory: {why}."
    advice = "Use --dtype bfloat16, --max-length, or a larger device."


class MissingDependency(SpinHubError):
    """An optional package that is not installed. Facts: package, command."""

    sentence = "The package {package} is not installed."
    advice = "Install it with: {command}"
