"""Perplexity of running text in windows, as the paper's code measures it on WikiText-2.

Settings: all texts joined by a blank line and tokenised as one; windows of equal size that do not overlap, the rest at
the end left out; in each window every token but the first is predicted from the window's tokens before it; exp of the
mean over all of them. Larger windows give lower values, so the size is always shown; values of other sizes, or of other
tokenizers, are not comparable, nor with published tables.
Baseline: the base model on the same windows.
Corrects for: nothing.
Interval: as that of :mod:`spin_hub.metrics.perplexity`, with windows for examples.
Source: S. Merity et al., "Pointer sentinel mixture models", ICLR (2017), for the text; arXiv 2410.16672 for its use.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spin_hub.core.stats import Measurement
from spin_hub.errors import TextError
from spin_hub.evidence import Report
from spin_hub.metrics.base import Inputs, Measured, Metric
from spin_hub.metrics.perplexity import perplexity
from spin_hub.progress import Reporter

if TYPE_CHECKING:
    from spin_hub.data.examples import Example
    from spin_hub.metrics.states import State
    from spin_hub.models.device import Placement

_LOGITS: Final = 4
"""The part of the free memory for a window's logits: of the base and a state, as they are and in float32."""


@dataclass(frozen=True)
class Windows:
    """A measurement of the perplexity of windows."""

    cut: Sequence["Example"]
    source: str

    def __call__(self, model: Any, states: Mapping[str, "State"], reporter: Reporter) -> Measured:
        """Read the windows."""
        total = sum(map(len, self.cut)) * (1 + len(states))
        with reporter.task("Reading windows", total, "tokens") as advance:
            metric = wikitext(model, self.cut, states, advance)
        about = {"text": self.source, "window": len(self.cut[0]), "windows": len(self.cut)}
        return Measured((metric,), {"wikitext": about})


def prepare(inputs: Inputs, _: Sequence[str]) -> Windows:
    """Read running text and cut it into windows.

    Raises:
        TextError: it cannot be read, or is shorter than a window.
    """
    from spin_hub.data.texts import read_text
    from spin_hub.hub.resolve import resolve_dataset

    request, spec = inputs.request, inputs.request.text
    size = window_of(inputs.base.index.config, inputs.where, request.window)
    # The tokenizer would warn that a corpus is longer than the model's window.
    ids = inputs.tokenizer(read_text(spec, resolve_dataset), verbose=False).input_ids
    cut = windows(ids, size, request.limit)
    if not cut:
        raise TextError(spec=Path(spec).name, why=f"its {len(ids):,} tokens do not fill a window of {size:,}")
    return Windows(cut, Path(spec).name if Path(spec).expanduser().is_file() else spec)


def report(about: Mapping[str, Any]) -> Report:
    """Report number, size and text of the windows."""
    found = about["wikitext"]
    number, size, text = f"{found['windows']:,}", f"{found['window']:,}", found["text"]
    return Report(
        f"Perplexity in windows: {number} windows of {size} tokens of {text}. It is comparable only with values of the "
        "same window and tokenizer.",
        facts=[("windows", f"{number} of {size} tokens, of {text}")],
    )


METRIC: Final = Metric(
    name="wikitext",
    label="Perplexity in windows",
    unit="per token",
    better="lower",
    needs="text",
    help="perplexity of running text in windows",
    prepare=prepare,
    suites=("paper",),
    report=report,
)


def windows(tokens: Sequence[int], size: int, most: int | None = None) -> list["Example"]:
    """Cut tokens into windows of ``size``, at most ``most`` of them; the rest at the end is left out.

    Raises:
        ValueError: a size below 2.
    """
    import torch

    from spin_hub.data.examples import IGNORE, Example

    if size < 2:
        raise ValueError("a window needs at least two tokens: the first is not predicted")
    whole = len(tokens) // size
    found = []
    for row in range(whole if most is None else min(whole, most)):
        ids = torch.tensor(tokens[row * size : (row + 1) * size])
        labels = ids.clone()
        labels[0] = IGNORE
        found.append(Example(ids, labels, row))
    return found


def window_of(config: Mapping[str, Any], where: "Placement", most: int | None) -> int:
    """Return the size of a window: the model's positions, at most ``most``, and what fits into memory."""
    from spin_hub.models.device import free_memory

    text = {**config, **(config.get("text_config") or {})}
    size = _whole(text, "max_position_embeddings") or _whole(text, "n_positions") or most or 2048
    free = free_memory(where.device)
    if free is not None:
        # Beside the logits as they are, in float32.
        row = max(_whole(text, "vocab_size"), 1) * 2 * (where.dtype.itemsize + 4)
        size = min(size, free // _LOGITS // row)
    return max(2, min(size, most or size))


def wikitext(
    model: Any, cut: Sequence["Example"], states: Mapping[str, "State"], advance: Callable[[int], None]
) -> Measurement:
    """Measure a loaded model as it is and in every state.

    Args:
        model: a causal language model of transformers in eval mode; it is left as it was, bit by bit.
        cut: the windows.
        states: name -> the weights that are zero in it, or another model.
        advance: called with the number of tokens of every forward pass.

    Raises:
        NotFinite: a log-probability that is not finite.
        ValueError: no windows.
    """
    from spin_hub.metrics.reading import Reader
    from spin_hub.metrics.states import beside_base

    if not cut:
        raise ValueError("there are no windows")
    reader = Reader(model, beside_base(states), advance)
    sums = reader.read("the windows", cut)
    values = {state: perplexity(sums.nll[state], sums.counts) for state in reader.states}
    return METRIC.of(values)


def _whole(config: Mapping[str, Any], name: str) -> int:
    """Return a whole number of a config, which may hold anything, or 0 if there is none."""
    value = config.get(name)
    return max(value, 0) if isinstance(value, int) else 0
