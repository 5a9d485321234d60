"""Likelihood metrics: held-out texts and pairs of answers are read once, for all of them together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spin_hub.evidence import Report
from spin_hub.metrics.base import Inputs, Measured
from spin_hub.progress import Reporter

if TYPE_CHECKING:
    from spin_hub.metrics.held_out import Texts
    from spin_hub.metrics.states import State

SUITES: Final = ("likelihood", "quick", "full")
"""The suites of these metrics, of which the first is their own."""


@dataclass(frozen=True)
class Likelihood:
    """A measurement of some of these metrics on texts."""

    texts: "Texts"
    names: tuple[str, ...]

    def __call__(self, model: Any, states: Mapping[str, "State"], reporter: Reporter) -> Measured:
        """Read the texts in every state."""
        from spin_hub.metrics.held_out import read_states

        evidence = read_states(model, self.texts, states, reporter)
        return Measured(tuple(found for found in evidence.metrics if found.name in self.names), evidence.about)


def prepare(inputs: Inputs, names: Sequence[str]) -> Likelihood:
    """Tokenise the built-in held-out texts and pairs.

    Raises:
        SpinHubError: the tokenizer cannot be loaded, or does not fit the texts.
    """
    from spin_hub.metrics.held_out import texts_for
    from spin_hub.recipe import ScoringRecipe

    recipe = ScoringRecipe(trust_remote_code=inputs.request.trust_remote_code)
    return Likelihood(texts_for(inputs.base, recipe), tuple(names))


def report(about: Mapping[str, Any]) -> Report:
    """Report how many texts and pairs were read, and how finely."""
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
