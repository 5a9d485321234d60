"""Coupling: how much a model's representations of fairness and of privacy questions depend on each other.

Settings: the representation of a question in a layer is that layer's output at the question's last token, where the
answer begins. The n-th question of one set is paired with the n-th of the other; normalised HSIC per layer, the metric
being its mean over all layers. HSIC has Gaussian kernels ``exp(-|x - y|^2 / (2 s^2))``, ``s^2`` the median squared
distance of different vectors, and the biased estimator ``tr(K H L H)``, divided by the root of
``tr(K H K H) tr(L H L H)``: 0 to 1, at any scale.
Baseline: the base model, and by layer the mean over all pairings (``chance``), which has a closed form: with
``A = H K H`` and ``B = H L H`` it is ``tr(A) tr(B) / (n - 1)``, normalised in the same way.
Corrects for: the scale of the representations. Not for the pairing, which is arbitrary: with many dimensions chance
alone gives high values, and only what lies above it is due to the pairing.
Interval: 95 %, normal, its error from the jackknife over pairs (each left out once, kernels as they were).
Source: arXiv 2410.16672, which measures with HSIC in place of mutual information; A. Gretton et al., "Measuring
statistical dependence with Hilbert-Schmidt norms", ALT (2005); normalised as in S. Kornblith et al., "Similarity of
neural network representations revisited", ICML (2019), section 3; B. Efron, "The Jackknife, the Bootstrap and Other
Resampling Plans" (1982), chapter 3.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spin_hub.core.stats import Estimate, Measurement, Z
from spin_hub.errors import NotFinite, UnsupportedModel, UsageError
from spin_hub.evidence import Plot, Report
from spin_hub.metrics.base import Inputs, Measured, Metric, QuestionSet
from spin_hub.model_cards.plots import coupling_plot
from spin_hub.progress import Reporter

if TYPE_CHECKING:
    from spin_hub.data.examples import Example
    from spin_hub.metrics.states import State

Questions: TypeAlias = tuple[Sequence["Example"], Sequence["Example"]]
Matrix: TypeAlias = NDArray[np.float64]
_SETS: Final = (QuestionSet("fairness"), QuestionSet("privacy"))
_PAIRS: Final = 3
_TITLE: Final = "Coupling of fairness and privacy by layer, {name}"


@dataclass(frozen=True)
class Coupling:
    """The metric, and by state the ``value`` of every layer and its mean by ``chance``."""

    metric: Measurement
    layers: Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True)
class Coupled:
    """A measurement of coupling on as many questions of fairness as of privacy."""

    questions: Questions

    def __call__(self, model: Any, states: Mapping[str, "State"], reporter: Reporter) -> Measured:
        """Read the questions."""
        with reporter.task("Coupling", tokens_of(self.questions, len(states)), "tokens") as advance:
            found = coupling(model, self.questions, states, advance)
        about = {"questions": len(self.questions[0]), "layers": found.layers}
        return Measured((found.metric,), {"coupling": about})


def prepare(inputs: Inputs, _: Sequence[str]) -> Coupled:
    """Read and tokenise as many questions of fairness as of privacy.

    Raises:
        QuestionsError: a source that holds no questions.
        UsageError: fewer than three of either.
    """
    texts = [entry.read(inputs.request) for entry in _SETS]
    count = min(map(len, texts))
    if count < _PAIRS:
        raise UsageError(message=f"Coupling needs at least {_PAIRS} questions of fairness and of privacy, not {count}.")
    fairness, privacy = (_tokens(entries[:count], inputs.tokenizer) for entries in texts)
    return Coupled((fairness, privacy))


def report(about: Mapping[str, Any]) -> Report:
    """Report the number of questions, and the values by chance."""
    found = about["coupling"]
    means = {state: sum(entry["chance"]) / len(entry["chance"]) for state, entry in found["layers"].items()}
    by_state = ", ".join(f"{state} {mean:.4g}" for state, mean in means.items())
    shown = ", ".join(f"{state} {mean:.3f}" for state, mean in means.items())
    return Report(
        "Coupling: normalised HSIC between the representations of "
        f"{found['questions']:,} fairness and as many privacy questions, the mean over all layers. By chance, with the "
        f"questions paired in any other way:\n{by_state}.",
        facts=[("coupling by chance", f"{shown} (any pairing of the {found['questions']} questions)")],
        plots=[Plot("coupling.png", _TITLE, partial(coupling_plot, found["layers"]))],
    )


METRIC: Final = Metric(
    name="coupling",
    label="Coupling (normalised HSIC)",
    unit="0 to 1",
    better="lower",
    needs="representations",
    help="how much representations of fairness and of privacy questions depend on each other",
    prepare=prepare,
    suites=("full", "paper"),
    sets=_SETS,
    report=report,
)


def coupling(
    model: Any,
    questions: Questions,
    states: Mapping[str, "State"],
    advance: Callable[[int], None],
) -> Coupling:
    """Measure a loaded model as it is and in every state.

    Args:
        model: a causal language model of transformers in eval mode; it is left as it was, bit by bit.
        questions: as many of fairness as of privacy, at least three.
        states: name -> the weights that are zero in it, or another model.
        advance: called with the number of tokens of every forward pass; :func:`tokens_of` in all.

    Raises:
        NotFinite: a state whose representations are not finite.
        UnsupportedModel: the model does not return its layers' outputs, or lacks weights of a selection.
        ValueError: the numbers of questions differ.
    """
    from spin_hub.metrics.states import beside_base, turned

    values, layers = {}, {}
    for name, state in beside_base(states).items():
        with turned(model, state) as found:
            fairness, privacy = (representations(found, name, examples, advance) for examples in questions)
        kernels = [(kernel(f), kernel(p)) for f, p in zip(fairness, privacy, strict=True)]
        values[name] = _estimate(kernels)
        found_by_layer = [hsic(*pair) for pair in kernels]
        layers[name] = {key: tuple(getattr(entry, key) for entry in found_by_layer) for key in ("value", "chance")}
    return Coupling(METRIC.of(values), layers)


def tokens_of(questions: Questions, states: int) -> int:
    """Count the tokens that :func:`coupling` forwards with this number of states beside the base."""
    return sum(len(example) for examples in questions for example in examples) * (1 + states)


def representations(
    model: Any, state: str, examples: Sequence["Example"], advance: Callable[[int], None]
) -> NDArray[np.float32]:
    """Return every layer's output at the last token of every text, shape (layers, examples, hidden size)."""
    import torch

    from spin_hub.data.examples import Example
    from spin_hub.models.batches import make_batches, usual_tokens

    found: dict[int, NDArray[np.float32]] = {}
    placed = [Example(example.ids, example.labels, place) for place, example in enumerate(examples)]
    for batch in make_batches(placed, usual_tokens(model.device)):
        with torch.inference_mode():
            out = model(input_ids=batch.ids.to(model.device), use_cache=False, output_hidden_states=True)
            states = getattr(out, "hidden_states", None)
            if not states:
                raise UnsupportedModel(what=type(model).__name__, why="it does not return its layers' outputs")
            rows = torch.arange(len(batch.rows))
            last = torch.tensor(batch.lengths) - 1
            # The first entry is the embedding, which no edit changes.
            taken = torch.stack(
                [layer[rows.to(layer.device), last.to(layer.device)].float().cpu() for layer in states[1:]]
            )
            if not torch.isfinite(taken).all():
                raise NotFinite(what=f"A layer's output of the {state} model", where="for the questions")
            found.update(zip(batch.rows, taken.transpose(0, 1).numpy(), strict=True))
        advance(sum(batch.lengths))
    return np.stack([found[place] for place in range(len(placed))], axis=1)


def _estimate(kernels: Sequence[tuple[Matrix, Matrix]]) -> Estimate:
    """Return the mean over layers, with the jackknife's interval."""
    n = len(kernels[0][0])
    value = _mean(kernels)
    if n < 4:
        return Estimate(value, None, None, n)
    everyone = np.arange(n)
    without = []
    for left in range(n):
        kept = np.ix_(everyone != left, everyone != left)
        without.append(_mean([(first[kept], second[kept]) for first, second in kernels]))
    spread = math.fsum((entry - math.fsum(without) / n) ** 2 for entry in without)
    half = Z * math.sqrt((n - 1) / n * spread)
    return Estimate(value, value - half, value + half, n)


def _mean(kernels: Sequence[tuple[Matrix, Matrix]]) -> float:
    return math.fsum(hsic(*pair).value for pair in kernels) / len(kernels)


def _tokens(texts: Sequence[str], tokenizer: Any) -> list["Example"]:
    import torch

    from spin_hub.data.examples import IGNORE, Example

    rows = [torch.tensor(tokenizer(text).input_ids) for text in texts]
    return [Example(ids, torch.full_like(ids, IGNORE), row) for row, ids in enumerate(rows)]


@dataclass(frozen=True)
class Dependence:
    """The normalised HSIC of two sets of vectors, and its mean over all pairings."""

    value: float
    chance: float


def kernel(vectors: NDArray[np.floating]) -> Matrix:
    """Return the Gaussian kernel of every two vectors.

    Args:
        vectors: shape (n, d), n at least 2.

    Returns:
        float64, shape (n, n); all ones if all vectors are equal.
    """
    wide = np.asarray(vectors, np.float64)
    # Distances do not change with the origin; near the mean, the subtraction below loses the fewest digits.
    wide = wide - wide.mean(axis=0)
    squares = np.einsum("nd,nd->n", wide, wide)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * wide @ wide.T, 0)
    np.fill_diagonal(distances, 0)
    width = float(np.median(distances[np.triu_indices(len(wide), 1)]))
    similar: Matrix = np.exp(-distances / (2 * width)) if width > 0 else np.ones_like(distances)
    return similar


def hsic(first: Matrix, second: Matrix) -> Dependence:
    """Return the normalised HSIC of two kernels over the same n pairs, both of shape (n, n).

    Raises:
        ValueError: other shapes, or fewer than three pairs.
    """
    if first.shape != second.shape or first.shape[0] != first.shape[1] or len(first) < 3:
        raise ValueError("HSIC needs two square kernels over the same three or more pairs")
    a, b = _centred(first), _centred(second)
    scale = math.sqrt(float(np.sum(a * a)) * float(np.sum(b * b)))
    if scale == 0:
        return Dependence(0.0, 0.0)
    chance = float(np.trace(a)) * float(np.trace(b)) / (len(a) - 1)
    return Dependence(float(np.sum(a * b)) / scale, chance / scale)


def _centred(matrix: Matrix) -> Matrix:
    rows = matrix - matrix.mean(axis=0, keepdims=True)
    centred: Matrix = rows - rows.mean(axis=1, keepdims=True)
    return centred
