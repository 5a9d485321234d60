"""The inputs of scoring, checked before any weight is read: calibration sets, tokens and targets, all pinned."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from spin_hub.artifacts.base_model import Base, open_base, record_of
from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.core.ranking import Shape
from spin_hub.data.chat import Chat, Thinking, open_chat
from spin_hub.data.examples import Example, fingerprint, make_examples, pieces
from spin_hub.data.sampling import Sample, Sampling, read_sample
from spin_hub.data.spec import BUILTIN
from spin_hub.data.tokens import check_round_trip
from spin_hub.errors import SpinHubError, UsageError
from spin_hub.hub.resolve import resolve_dataset
from spin_hub.models.coordinates import coordinates
from spin_hub.models.device import place, stored_dtype
from spin_hub.models.limits import cut_all, input_limits
from spin_hub.models.load import check_causal, load_skeleton, load_tokenizer
from spin_hub.progress import SILENT, Reporter, step
from spin_hub.recipe import WHOLE, Part, ScoringRecipe
from spin_hub.record import ModelRecord, ScoringRecord, SetRecord
from spin_hub.scoring.memory import MemoryRequest
from spin_hub.scoring.scores import recorded_score, score_named
from spin_hub.scoring.targets import Target, find_targets
from spin_hub.versions import versions

_LOOKED_AT: Final = 8
"""Rows of a set by which the tokenizer is judged."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """One calibration set, sampled and tokenised."""

    sample: Sample
    examples: tuple[Example, ...]

    @property
    def record(self) -> SetRecord:
        """The set's entry in a record, without text or paths."""
        dataset = self.sample.dataset
        return SetRecord(
            name=self.sample.name,
            source=self.sample.source,
            licence=self.sample.licence,
            rows=self.sample.available,
            used=len(self.examples),
            tokens=sum(len(example) for example in self.examples),
            counted=sum(example.counted for example in self.examples),
            rows_sha256=self.sample.fingerprint,
            examples_sha256=fingerprint(self.examples),
            commit=dataset.commit if dataset else None,
            dataset_id=dataset.dataset_id if dataset else None,
            note=self.sample.note,
            left_out=self.sample.left_out,
        )


@dataclass(frozen=True, eq=False)
class Calibrations:
    """All calibration sets of a recipe.

    Attributes:
        recipe: with the date for which the chat template was rendered, if that reads it.
        sets: name -> set.
        chat: the chat template, or None for raw prompts.
    """

    recipe: ScoringRecipe
    sets: dict[str, Calibration]
    chat: Chat | None

    @property
    def thinking(self) -> Thinking | None:
        """What became of the chat template's thought before the answer."""
        return self.chat.thinking if self.chat else None


@dataclass(frozen=True, eq=False)
class ScoringInputs:
    """Everything that scoring needs but the weights.

    Attributes:
        demand: what scoring will hold.
        examples: set name -> examples.
        model, record: what a record says of the base and of the scoring, with everything pinned.
        part: of the model, in which weights are scored.
    """

    base: Base
    demand: MemoryRequest
    examples: Mapping[str, Sequence[Example]]
    model: ModelRecord
    record: ScoringRecord
    part: Part = WHOLE

    @property
    def shapes(self) -> dict[str, Shape]:
        """Parameter name -> shape, of all target matrices."""
        return {target.parameter: tuple(target.weight.shape) for target in self.demand.targets}


def prepare(
    base: Base, recipe: ScoringRecipe, reporter: Reporter, part: Part = WHOLE, date: str | None = None
) -> ScoringInputs:
    """Read everything that scoring needs but the weights, and pin everything that decides the result.

    Args:
        base: the model.
        recipe: how importance is measured.
        reporter: called with progress.
        part: of the model, outside which nothing needs to be scored.
        date: for which an earlier run, which this one continues, rendered the chat template.

    Raises:
        SpinHubError: the model, its files, the sets or the tokenizer are not usable.
    """
    score_named(recipe.score)
    check_causal(base.source.folder, base.index.config)
    where = place(recipe.device, recipe.dtype, base.index)
    reporter.note(where.sentence)
    with step(reporter, "Reading the model's architecture"):
        skeleton = load_skeleton(base.index, recipe.trust_remote_code)
        targets = targets_within(skeleton, base.index, recipe.target, part, reporter)
    if date and recipe.chat_template and recipe.template_date is None:
        recipe = replace(recipe, template_date=date)
    found = calibrate(base, recipe, reporter)
    calibrations = fitted(found.sets, skeleton, reporter)
    sets = tuple(entry.record for entry in calibrations.values())
    pinned = replace(
        found.recipe,
        sets={entry.name: entry.source for entry in sets},
        dtype=where.precision,  # type: ignore[arg-type]
        device=where.device.type,  # type: ignore[arg-type]
        max_memory=None,
        resumable=False,
    )
    examples = {name: entry.examples for name, entry in calibrations.items()}
    record = ScoringRecord(pinned, sets, versions(), where.why, recorded_score(recipe.score), found.thinking)
    everything = [example for group in examples.values() for example in group]
    demand = MemoryRequest(skeleton, targets, everything, where, stored_dtype(base.index))
    return ScoringInputs(base, demand, examples, record_of(base, reporter), record, part)


def targets_within(
    model: Any, index: CheckpointIndex, target: str, part: Part, reporter: Reporter = SILENT
) -> tuple[Target, ...]:
    """The linear weights that a target names in a part of a model, under their names in the checkpoint.

    Args:
        model: loaded, or its modules without memory.
        index: its checkpoint, of which every tensor is accounted for first.
        target: ``mlp``, ``self_attn``, ``all``, or a glob pattern of names.
        part: of the model.
        reporter: called with a note on tensors that the model does not take.

    Raises:
        ModelNotLoadable: the checkpoint lacks parameters, or has tensors that would change what the model computes.
        NoTarget: the target names nothing.
        UsageError: the part holds none of what it names.
        UnsupportedModel: no decoder layers, or a matching weight is not that of a plain linear map.
        CoordinatesDiffer: a matching weight is not one tensor of the checkpoint.
    """
    found = coordinates(model, index)
    if found.note:
        reporter.note(found.note)
    targets = find_targets(model, target, found)
    inside = tuple(entry for entry in targets if part.holds(entry.parameter))
    if not inside:
        raise UsageError(message=f"None of the matrices that are scored lies in the part {str(part)!r} of the model.")
    return inside


def calibrate(base: Base, recipe: ScoringRecipe, reporter: Reporter = SILENT) -> Calibrations:
    """Read, sample and tokenise every set of a recipe, in its order.

    Raises:
        SpinHubError: a source, a row, the tokenizer or its chat template is not usable.
    """
    sampling = Sampling(recipe.samples, recipe.seed, strict=recipe.strict_rows, system=recipe.chat_template)
    with step(reporter, "Reading the calibration sets"):
        samples = {name: read_sample(name, spec, sampling, resolve_dataset) for name, spec in recipe.sets.items()}
        tokenizer = load_tokenizer(base.source.folder, recipe.trust_remote_code)
        chat = open_chat(tokenizer, recipe.template_date) if recipe.chat_template else None
        pinned = replace(recipe, template_date=chat.date if chat else None)
        notes = check_round_trip(tokenizer, _sampled(samples.values()))
        calibrations = {
            name: Calibration(sample, make_examples(name, sample.rows, tokenizer, pinned))
            for name, sample in samples.items()
        }
    if recipe.template_date and not pinned.template_date:
        notes.append("The chat template reads no date: --template-date changes nothing.")
    notes += [note for sample in samples.values() for note in sample.notes]
    for note in notes + (chat.notes if chat else []):
        reporter.note(note)
    return Calibrations(pinned, calibrations, chat)


def _sampled(samples: Iterable[Sample]) -> Iterator[str]:
    for row in (row for sample in samples for row in sample.rows[:_LOOKED_AT]):
        yield row.prompt
        yield row.response


def fitted(
    calibrations: Mapping[str, Calibration], skeleton: Any, reporter: Reporter = SILENT
) -> dict[str, Calibration]:
    """Cut the examples of built-in sets to the model's positions; refuse others that it cannot read.

    Args:
        calibrations: set name -> sampled and tokenised.
        skeleton: the model's modules without memory.
        reporter: called with notes.

    Raises:
        SpinHubError: naming set and row, and the way to cut it.
    """
    limits = input_limits(skeleton)
    found = {}
    for name, entry in calibrations.items():
        longer = [example for example in entry.examples if len(example) > (limits.positions or len(example))]
        if longer and entry.sample.source.startswith(BUILTIN):
            entry = replace(entry, examples=cut_all(entry.examples, limits.positions))
            if not entry.examples:
                message = f"No built-in example of {name} fits into the model's {limits.positions:,} positions."
                raise SpinHubError(message, hint=f"Give shorter rows of your own: --set {name}=FILE.")
            reporter.note(
                f"{len(longer)} built-in examples of {name} are cut to the model's {limits.positions:,} positions."
            )
        found[name] = entry
    note = limits.check({name: entry.examples for name, entry in found.items()})
    if note:
        reporter.note(note)
    return found


def show_examples(
    model: str, recipe: ScoringRecipe, count: int, reporter: Reporter = SILENT
) -> dict[str, list[list[tuple[str, bool]]]]:
    """The first examples of every set as the model reads them: per token its text, and whether it counts."""
    base = open_base(model, reporter)
    tokenizer: Any = load_tokenizer(base.source.folder, recipe.trust_remote_code)
    # Scoring reads the same again and says then what it left out.
    with step(reporter, "Reading the calibration sets"):
        found = calibrate(base, recipe)
    if found.chat and found.chat.own_text:
        reporter.note(f"The chat template adds a text of its own before the first message: {found.chat.own_text!r}.")
    return {
        name: [pieces(example, tokenizer) for example in entry.examples[:count]] for name, entry in found.sets.items()
    }
