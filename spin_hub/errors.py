"""Every error that spin-hub raises on purpose: a sentence with facts, a hint, an exit code."""

from typing import Any, ClassVar


class SpinHubError(Exception):
    """The base of every error that spin-hub raises on purpose: a sentence with facts, a hint, an exit code.

    Classes below it are for errors that somebody catches or scripts against; all others are raised as this one, with
    their sentence and hint: ``SpinHubError("The file x is empty.", hint="Write it again.")``.

    Args:
        message: one sentence with the true reason; by default the class's own, filled with the facts.
        hint: one sentence with what to do; by default the class's own.
        facts: what the class's sentence and hint are made of.
    """

    exit_code: ClassVar[int] = 1
    sentence: ClassVar[str] = ""
    advice: ClassVar[str] = ""

    def __init__(self, message: str | None = None, *, hint: str | None = None, **facts: Any) -> None:
        self.facts = facts
        self.message = self.sentence.format(**facts) if message is None else message
        self.hint = self.advice.format(**facts) if hint is None else hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


def first_line(error: BaseException, longest: int = 300) -> str:
    """The first line of another library's error, to be quoted in a sentence; the error's type if it has no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:longest].rstrip(".:")


class UsageError(SpinHubError):
    """Options that are wrong or contradict each other: ``UsageError("...")``."""

    exit_code = 2
    advice = "See --help for the options and examples."


# --- Selecting -----------------------------------------------------------------------------------------------------


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


# --- Models, checkpoints and files ---------------------------------------------------------------------------------


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


class LfsPointer(CorruptFile):
    """A Git LFS pointer in place of a file, as a clone without git-lfs leaves it. Facts: path."""

    sentence = "{path} is a Git LFS pointer, not the file."
    advice = "Run `git lfs pull` in its repository, or download the file with `hf download`."


class WeightsIncomplete(CorruptFile):
    """A model without all of its shards, or without their index. Facts: path, why."""

    sentence = "{path} does not hold all of its weights: {why}."
    advice = "Copy or download the missing files beside the others."


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
    """A model or tokenizer that cannot be loaded as its files say. Facts: path, why."""

    sentence = "transformers could not load {path}: {why}."
    advice = "Check its files, or update transformers: pip install -U transformers."


class CoordinatesDiffer(SpinHubError):
    """A parameter in memory is not the checkpoint's tensor, bit by bit. Facts: parameter, why."""

    sentence = "The parameter {parameter} cannot be found again in the checkpoint: {why}."
    advice = "Only a parameter that is one tensor of the checkpoint can be edited: choose others with --target."


class UnsupportedModel(SpinHubError):
    """An architecture that the engine cannot score correctly. Facts: what, why."""

    sentence = "{what} cannot be scored: {why}."
    advice = "Choose other parameters with --target, such as mlp, self_attn or a pattern of names."


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


# --- Scoring and evaluation ----------------------------------------------------------------------------------------


class NotFinite(SpinHubError):
    """A loss, gradient or importance that is NaN or infinite. Facts: what, where."""

    sentence = "{what} is not a finite number {where}."
    advice = "Score with --dtype float32; if that does not help, remove the example or check the model's weights."


class PartialDiffers(SpinHubError):
    """Finished layers of a scoring that was made from something else. Facts: path, what."""

    sentence = "{path} holds finished layers of another scoring: {what} changed since."
    advice = "Run the command as it was to go on with it, or remove that folder to begin anew."


class NothingGained(SpinHubError):
    """No edit that was tried moves the model to the aware answers within the limits. Facts: why."""

    sentence = "No edit was made, because {why}."
    advice = "Give --p and --q to make one all the same, other sets, or let edit --yes take the best that was found."


class GuardUnusable(SpinHubError):
    """A guard model that cannot be asked. Facts: name, why."""

    sentence = "The judge {name} cannot be used: {why}."
    advice = "Use --judge lexical, a smaller guard model, or the one that this profile was made for."


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


class MemoryTooSmall(SpinHubError):
    """A limit in which a model cannot be scored. Facts: how, limit, needed, parts, enough, instead."""

    sentence = "Scoring {how} does not fit into {limit}: it needs {needed} ({parts})."
    advice = "Give it {enough} or more (--max-memory {enough}), or {instead}."


# --- Calibration data ----------------------------------------------------------------------------------------------


class SourceError(SpinHubError):
    """A calibration source that cannot be read. Facts: name, spec, why."""

    sentence = "The calibration set {name!r} ({spec}) cannot be used: {why}."
    advice = (
        "A source is builtin:NAME, a recipe such as beavertails:privacy-safe, a file or folder of CSV, JSON or "
        "Parquet, or a data set of the Hub, org/name[@revision][:config][/split]; README.md lists the columns that are "
        "known."
    )


class DatasetNotFound(SourceError):
    """A data set that the Hub does not have. Facts: dataset, why."""

    sentence = "The data set {dataset!r} was not found: {why}."
    advice = "Give a Hub id such as org/name or org/name@revision, or a file that is there."


class QuestionsError(SourceError):
    """Questions that cannot be read. Facts: spec, why."""

    sentence = "The questions {spec} cannot be used: {why}."
    advice = (
        "Questions are builtin:fairness, builtin:privacy, builtin:safety, builtin:lookalike, salad:fairness, "
        "salad:privacy, or a CSV, JSONL or Parquet file with the column question, and id and topic if you like."
    )


class TextError(SourceError):
    """Running text that cannot be read. Facts: spec, why."""

    sentence = "The text {spec} cannot be used: {why}."
    advice = "--text takes a .txt file, a table with the column text, or a data set of the Hub with that column."


class MissingColumns(SourceError):
    """A table without the columns. Facts: name, spec, missing, columns."""

    sentence = "The calibration set {name!r} ({spec}) has no column {missing} (it has: {columns})."
    advice = "Name the columns at the end of the source: #prompt=COLUMN,response=COLUMN; COLUMN+COLUMN joins two."


class TooFewRows(SourceError):
    """Fewer rows than samples. Facts: name, spec, rows, samples."""

    sentence = "The calibration set {name!r} ({spec}) has {rows} rows, but {samples} examples are asked for."
    advice = "Lower --samples to at most {rows}, or give a larger source."


class BadRow(SourceError):
    """A row that gives no example. Facts: name, row, why."""

    sentence = "Row {row} of the calibration set {name!r} gives no example: {why}."
    advice = "Mend or remove the row."


class NoChatTemplate(SpinHubError):
    """A chat template is asked for and the tokenizer has none that works. Facts: why."""

    sentence = "The chat template cannot be used: {why}."
    advice = "Leave out --chat-template to use the raw prompts."


# --- Deltas and artifacts ------------------------------------------------------------------------------------------


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


# --- Outputs -------------------------------------------------------------------------------------------------------


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


# --- The Hub -------------------------------------------------------------------------------------------------------


class NotLoggedIn(SpinHubError):
    """No token, where one is needed. Facts: page."""

    sentence = "There is no token of the Hub here, so nothing can be pushed."
    advice = "Log in with `hf auth login`, or set HF_TOKEN; a token that may write is made at {page}."


class TokenRefused(SpinHubError):
    """A token that the Hub does not know. Facts: page."""

    sentence = "The Hub does not accept the token that is set here."
    advice = "Log in again with `hf auth login`, or set HF_TOKEN to a valid one from {page}."


class HubSilent(SpinHubError):
    """The Hub does not answer a question that no cache can. Facts: what, why."""

    sentence = "The Hub could not be asked {what}: {why}."
    advice = "Check the network (and HF_ENDPOINT and HF_HUB_OFFLINE), then run the same command again."


class RangesIgnored(SpinHubError):
    """An endpoint that sends whole files where a piece is asked for. Facts: repo_id."""

    sentence = "The endpoint sends whole files of {repo_id} where pieces of them are asked for."
    advice = "Leave out --quick: the full check reads whole files."


class WriteDenied(SpinHubError):
    """A token or account that may not write to a repo. Facts: repo_id, why, page."""

    sentence = "The token may not write to {repo_id}: {why}."
    advice = "Use a token that may write (see {page}), or name another repo with --repo-id."


class RepoNameRefused(SpinHubError):
    """A name that the Hub does not allow for a model. Facts: repo_id, why."""

    sentence = "{repo_id!r} cannot be the name of a model repo: {why}."
    advice = "Name one with --repo-id, such as you/My-Model-spin."


class NotOurRepo(SpinHubError):
    """A repo that spin-hub did not make. Facts: repo_id, holds."""

    sentence = "{repo_id} exists and was not made by spin-hub (it holds {holds})."
    advice = "Name another with --repo-id, or add --yes to push into it all the same."


class VisibilityDiffers(SpinHubError):
    """A repo that exists with another visibility than asked for. Facts: repo_id, here, asked, page."""

    sentence = "{repo_id} exists and is {here}, but {asked} is asked for."
    advice = "Change it at {page}/settings first, or leave the option out."


class CardRefused(SpinHubError):
    """Card metadata that the Hub's validator does not accept. Facts: why."""

    sentence = "The Hub does not accept the card's metadata: {why}."
    advice = "Mend the metadata of the base's card or of your own part of the README, and run the command again."


class TagTaken(SpinHubError):
    """A tag that means another commit. Facts: repo_id, tag."""

    sentence = "{repo_id} has the tag {tag!r} already, and it means another commit."
    advice = "Choose another name with --tag, or remove that tag first."


class RepoMoved(SpinHubError):
    """Somebody else committed while a push was on its way. Facts: repo_id."""

    sentence = "{repo_id} was changed by somebody else during the push; nothing of it was overwritten."
    advice = "Look at the change, then run the same command again."


class PushFailed(SpinHubError):
    """A push that did not arrive. Facts: repo_id, why."""

    sentence = "The push to {repo_id} failed: {why}. The repo is as it was."
    advice = "Run the same command again: nothing is computed twice, and files that have arrived are not sent again."


class NotPushable(SpinHubError):
    """A folder that is no whole edited model or delta. Facts: path, why."""

    sentence = "{path} cannot be pushed: {why}."
    advice = "Push a folder that `spin-hub edit`, `select` or `apply` wrote."


class BeyondLimits(SpinHubError):
    """An edit that costs more than its limits, and was to be pushed. Facts: path, why."""

    sentence = "Nothing was pushed, because {why}"
    advice = "The edit is in {path}. Choose other ratios, or push it with `spin-hub push`."


class CardFailed(SpinHubError):
    """A card's template asks for something that the record does not have. Facts: why."""

    sentence = "The card cannot be written: {why}."
    advice = "The record and the templates are of different versions; write the record again with this version."


# --- Adapters ------------------------------------------------------------------------------------------------------


class AdapterRefused(SpinHubError):
    """An edit that no adapter can hold. Facts: what, why."""

    sentence = "{what} cannot become part of an adapter: {why}."
    advice = "Use the delta itself: `spin-hub apply` writes the whole edited model."


class RankTooLarge(SpinHubError):
    """A LoRA of a rank that servers hardly take. Facts: rank, size, limit."""

    sentence = "The exact LoRA needs rank {rank} ({size}), above {limit}."
    advice = "Add --yes to write it all the same, use --as peft, or select fewer weights."


# --- Plugins -------------------------------------------------------------------------------------------------------


class PluginMissing(SpinHubError):
    """A record names an entry of a table that is not here. Facts: what, name, origin (`` of the package y 1.2``)."""

    sentence = 'This was made with the {what} "{name}"{origin}, which is not installed here.'
    advice = "Install that package and try again."


class PluginFailed(SpinHubError):
    """A package's entry cannot be loaded. Facts: what, name, package, why."""

    sentence = 'The {what} "{name}" of the package {package} cannot be loaded: {why}.'
    advice = "Update or remove that package."
