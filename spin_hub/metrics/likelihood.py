"""Likelihood metrics: held-out texts and pairs of answers, read once for all of them, beside a random control."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from spin_hub.core.rules import at_random
from spin_hub.core.selection import Selection
from spin_hub.errors import SpinHubError
from spin_hub.evidence import BASE, CONTROL, EDITED, Evidence, Report
from spin_hub.metrics.base import Inputs, Measured
from spin_hub.progress import Reporter, step
from spin_hub.recipe import Limits, ScoringRecipe

if TYPE_CHECKING:
    from spin_hub.artifacts.base_model import Base
    from spin_hub.artifacts.ranking_file import RankingFile
    from spin_hub.data.examples import Example
    from spin_hub.metrics.reading import Pairs
    from spin_hub.metrics.states import State

SUITES: Final = ("likelihood", "quick", "full")
"""The suites of these metrics, of which the first is their own."""
Use: TypeAlias = Literal["pick", "report"]
"""The use of texts: to pick an edit, or to report what the picked one does."""
STATES: Final = 2
"""The number of states measured beside the base."""


class Ranked(Protocol):
    """A loaded model and its ranking."""

    @property
    def model(self) -> Any:
        """In eval mode."""
        ...

    @property
    def content(self) -> "RankingFile":
        """Its ranking."""
        ...

    @property
    def precision(self) -> str:
        """The precision in which it runs."""
        ...


@dataclass(frozen=True)
class Texts:
    """General texts, per axis pairs of an aware and an unaware answer, and a note if the model's positions cut some."""

    general: Sequence["Example"]
    pairs: "Pairs"
    note: str | None = None

    @property
    def all(self) -> list["Example"]:
        """Every text once."""
        return [*self.general, *(answer for pairs in self.pairs.values() for pair in pairs for answer in pair)]


def texts_for(base: "Base", recipe: ScoringRecipe, model: Any, use: Use = "report") -> Texts:
    """Tokenise the built-in held-out texts and pairs with the base's tokenizer.

    They do not depend on how the scores cut and split their examples. Texts by which an edit is picked say nothing new
    about it, so every other one is kept for the report. Texts longer than the model's table of positions are cut.

    Args:
        base: for its tokenizer.
        recipe: whether the tokenizer's own code may run, and how prompts are rendered.
        model: loaded, or its modules without memory.
        use: of the texts.

    Raises:
        SpinHubError: the tokenizer cannot be loaded, or no text fits into the model's positions.
    """
    from spin_hub.data.builtin import AXES, builtin_rows
    from spin_hub.data.examples import make_examples, pair_examples
    from spin_hub.models.limits import cut, cut_all, input_limits
    from spin_hub.models.load import load_tokenizer

    recipe = replace(recipe, tokenization="exact", max_length=None)
    tokenizer = load_tokenizer(base.source.folder, recipe.trust_remote_code)
    half = slice(use == "pick", None, 2)
    rows = builtin_rows("general", "heldout")[half]
    general = make_examples("held-out general text", rows, tokenizer, recipe)
    pairs = {axis: pair_examples(axis, tokenizer, recipe)[half] for axis in AXES}
    positions = input_limits(model).positions
    longer = [text for text in Texts(general, pairs).all if positions is not None and len(text) > positions]
    if not longer:
        return Texts(general, pairs)
    shorter = {axis: [(cut(aware, positions), cut(other, positions)) for aware, other in pairs[axis]] for axis in AXES}
    kept = {axis: [(one, two) for one, two in shorter[axis] if one and two] for axis in AXES}
    if not (short := cut_all(general, positions)) or not all(kept.values()):
        message = f"The model has {positions:,} positions, too few for the texts that models are measured with."
        raise SpinHubError(message, hint="Such a model can only be edited without measuring: spin-hub edit --no-eval.")
    note = f"{len(longer)} texts that are measured with are cut to the model's {positions:,} positions."
    return Texts(short, kept, note)


def gather(scored: Ranked, texts: Texts, selection: Selection, seed: int, reporter: Reporter) -> dict[str, Any]:
    """Measure an edit on the built-in held-out texts and pairs, beside a random control of equal size.

    Args:
        scored: the loaded model and its ranking.
        texts: of the use ``report``.
        selection: the edit.
        seed: of the control.
        reporter: called with progress.

    Returns:
        The JSON representation of the evidence.
    """
    with step(reporter, "Drawing a random control"):
        states = {EDITED: selection, CONTROL: at_random(scored.content.ranking, selection, seed)}
    evidence = _read(scored.model, texts, states, reporter)
    return replace(evidence, about={**evidence.about, "dtype": scored.precision}).to_json()


def warnings_of(evaluation: Mapping[str, Any] | None, limits: Limits | None) -> tuple[str, ...]:
    """Return a sentence for each limit that an edit exceeds."""
    if evaluation is None or limits is None:
        return ()
    metrics = {metric.name: metric.values for metric in Evidence.from_json(evaluation).metrics}
    kl = metrics["kl"][EDITED].value
    ratio = metrics["perplexity"][EDITED].value / metrics["perplexity"][BASE].value
    found = []
    if kl > limits.max_kl:
        found.append(f"The KL to the base is {kl:.3g}, above --max-kl {limits.max_kl:g}: the model has changed.")
    if ratio > limits.max_perplexity_ratio:
        limit = f"--max-perplexity-ratio {limits.max_perplexity_ratio:g}"
        found.append(f"The perplexity is {ratio:.3g} times the base's, above {limit}: general ability has suffered.")
    return tuple(found)


@dataclass(frozen=True)
class Likelihood:
    """A measurement of some of these metrics on texts."""

    texts: Texts
    names: tuple[str, ...]

    def __call__(self, model: Any, states: Mapping[str, "State"], reporter: Reporter) -> Measured:
        """Read the texts in every state."""
        evidence = _read(model, self.texts, states, reporter)
        return Measured(tuple(found for found in evidence.metrics if found.name in self.names), evidence.about)


def prepare(inputs: Inputs, names: Sequence[str]) -> Likelihood:
    """Tokenise the built-in held-out texts and pairs.

    Raises:
        SpinHubError: the tokenizer cannot be loaded, or does not fit the texts.
    """
    from spin_hub.models.load import load_skeleton

    recipe = ScoringRecipe(trust_remote_code=inputs.request.trust_remote_code)
    skeleton = load_skeleton(inputs.base.index, recipe.trust_remote_code)
    return Likelihood(texts_for(inputs.base, recipe, skeleton), tuple(names))


def report(about: Mapping[str, Any]) -> Report:
    """Report the numbers of texts and pairs, and the precision."""
    if not about["general_examples"]:
        return Report()
    pairs = " and ".join(f"{count} {axis}" for axis, count in about["pairs"].items())
    return Report(
        f"KL and perplexity: {about['general_examples']} held-out examples of general text that came with the tool; "
        f"preference: the\nshare of {pairs} pairs whose aware answer is likelier per token than the unaware one; "
        "shift: the mean change of the difference, pair by pair.\n"
        f"The model ran in {about.get('dtype', 'its own precision')}; in bfloat16 rounding alone gives a KL of some "
        "0.002. These are measurements of likelihoods, not of what the model writes: a difference within the\n"
        "intervals is none."
    )


def _read(model: Any, texts: Texts, states: Mapping[str, "State"], reporter: Reporter) -> Evidence:
    from spin_hub.metrics.reading import measure, tokens_to_read

    if texts.note:
        reporter.note(texts.note)
    with reporter.task("Measuring", tokens_to_read(texts.general, texts.pairs, len(states)), "tokens") as advance:
        return measure(model, texts.general, texts.pairs, states, advance)
