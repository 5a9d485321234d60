"""Held-out texts, and the first evidence of an edit: measured beside the base and a random control."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias

from spin_hub.artifacts.base_model import Base
from spin_hub.artifacts.ranking_file import RankingFile
from spin_hub.core.rules import at_random
from spin_hub.core.selection import Selection
from spin_hub.data.builtin import AXES, builtin_rows
from spin_hub.data.examples import Example, make_examples, pair_examples
from spin_hub.evidence import Evidence
from spin_hub.metrics.reading import Pairs
from spin_hub.metrics.states import CONTROL, EDITED, State
from spin_hub.metrics.suite import measure, tokens_to_read
from spin_hub.models.load import load_tokenizer
from spin_hub.progress import Reporter, step
from spin_hub.recipe import Limits, ScoringRecipe

Use: TypeAlias = Literal["pick", "report"]
"""What texts are read for: to pick an edit, or to report what the picked one does."""
STATES = 2
"""How many states are measured beside the base."""


class Ranked(Protocol):
    """A model that is loaded, and its ranking."""

    @property
    def model(self) -> Any:
        """In eval mode."""
        ...

    @property
    def content(self) -> RankingFile:
        """Its ranking."""
        ...

    @property
    def precision(self) -> str:
        """The precision in which it runs."""
        ...


@dataclass(frozen=True)
class Texts:
    """What is read: general texts, and per axis pairs of an aware and an unaware answer."""

    general: Sequence[Example]
    pairs: Pairs

    @property
    def all(self) -> list[Example]:
        """Every text once."""
        return [*self.general, *(answer for pairs in self.pairs.values() for pair in pairs for answer in pair)]


def gather(base: Base, scored: Ranked, selection: Selection, seed: int, reporter: Reporter) -> dict[str, Any]:
    """Measures an edit on the built-in held-out texts and pairs, beside a random control of equal size.

    Args:
        base: for its tokenizer.
        scored: the loaded model and its ranking.
        selection: the edit.
        seed: of the control.
        reporter: told of progress.

    Returns:
        The evidence as plain JSON values.
    """
    recipe = scored.content.scoring.recipe
    with step(reporter, "Reading the texts"):
        texts = texts_for(base, recipe)
    with step(reporter, "Drawing a random control"):
        states = {EDITED: selection, CONTROL: at_random(scored.content.ranking, selection, seed)}
    evidence = read_states(scored.model, texts, states, reporter)
    return replace(evidence, about={**evidence.about, "dtype": scored.precision}).to_json()


def read_states(model: Any, texts: Texts, states: Mapping[str, State], reporter: Reporter) -> Evidence:
    """Has a loaded model read texts as it is and in every state."""
    with reporter.task("Measuring", tokens_to_read(texts.general, texts.pairs, len(states)), "tokens") as advance:
        return measure(model, texts.general, texts.pairs, states, advance)


def texts_for(base: Base, recipe: ScoringRecipe, use: Use = "report") -> Texts:
    """The built-in held-out texts and pairs as the base's tokenizer sees them.

    What is measured does not depend on how the scores cut and split their examples. Texts by which an edit is picked
    say nothing new about it, so every other one is kept for the report.
    """
    recipe = replace(recipe, tokenization="exact", max_length=None)
    tokenizer = load_tokenizer(base.source.folder, recipe.trust_remote_code)
    half = slice(use == "pick", None, 2)
    rows = builtin_rows("general", "heldout")[half]
    general = make_examples("held-out general text", rows, tokenizer, recipe)
    return Texts(general, {axis: pair_examples(axis, tokenizer, recipe)[half] for axis in AXES})


def warnings_of(evaluation: Mapping[str, Any] | None, limits: Limits | None) -> tuple[str, ...]:
    """Sentences for what an edit costs beyond its limits."""
    if evaluation is None or limits is None:
        return ()
    metrics = {metric.name: metric.values for metric in Evidence.from_json(evaluation).metrics}
    kl = metrics["kl"][EDITED].value
    ratio = metrics["perplexity"][EDITED].value / metrics["perplexity"]["base"].value
    found = []
    if kl > limits.max_kl:
        found.append(f"The KL to the base is {kl:.3g}, above --max-kl {limits.max_kl:g}: the model has changed.")
    if ratio > limits.max_perplexity_ratio:
        limit = f"--max-perplexity-ratio {limits.max_perplexity_ratio:g}"
        found.append(f"The perplexity is {ratio:.3g} times the base's, above {limit}: general ability has suffered.")
    return tuple(found)
