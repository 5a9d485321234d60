"""Limits of a model's inputs: positions in tables of a fixed length, and rows of the input embedding."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from torch import Tensor, nn

from spin_hub.checkpoint.index import CheckpointIndex
from spin_hub.data.examples import Example
from spin_hub.errors import SpinHubError
from spin_hub.models.layers import text_modules
from spin_hub.models.load import load_skeleton

# The last part of a module's name.
_TABLE: Final = re.compile(r"(?:wpe|embed_positions|pos(?:ition)?_emb(?:ed)?(?:dings?)?|position_embeddings?)$")


@dataclass(frozen=True)
class InputLimits:
    """Limits of a model's inputs.

    Attributes:
        positions: the tokens of the longest input, or None if the model computes positions instead of looking them up.
        declared: the positions that its config names, beyond which it was not trained; None if it names none.
        rows: of the input embedding.
    """

    positions: int | None
    declared: int | None
    rows: int

    def check(self, sets: Mapping[str, Sequence[Example]]) -> str | None:
        """Refuse examples that the model cannot read.

        Args:
            sets: name -> examples.

        Returns:
            A note on examples that are longer than the model was trained on, or None.

        Raises:
            SpinHubError: naming set, row and tokens, and the way to cut them.
        """
        examples = [(name, example) for name, group in sets.items() for example in group]
        for name, example in examples:
            largest = int(example.ids.max())
            if largest >= self.rows:
                message = (
                    f"Row {example.row} of the set {name!r} has the token {largest}, but the model's embedding has "
                    f"{self.rows:,} rows."
                )
                hint = "The tokenizer is another model's, or has tokens that the model was never enlarged for."
                raise SpinHubError(message, hint=hint)
        name, longest = max(examples, key=lambda entry: len(entry[1]), default=("", None))
        if longest is None:
            return None
        if self.positions is not None and len(longest) > self.positions:
            others = sum(len(example) > self.positions for _, example in examples) - 1
            more = f" ({others:,} more are too long)" if others else ""
            message = (
                f"Row {longest.row} of the set {name!r} has {len(longest):,} tokens, but the model has "
                f"{self.positions:,} positions{more}."
            )
            raise SpinHubError(message, hint=f"Cut the examples: --max-length {self.positions}.")
        if self.declared is not None and len(longest) > self.declared:
            return (
                f"Row {longest.row} of the set {name!r} has {len(longest):,} tokens; the model was made for "
                f"{self.declared:,}, and --max-length {self.declared} cuts to that."
            )
        return None


def input_limits(model: Any) -> InputLimits:
    """Find the limits of a model's inputs.

    Args:
        model: loaded, or its modules without memory.
    """
    embedding = model.get_input_embeddings()
    found = []
    for name, module in text_modules(model):
        if isinstance(module, nn.Embedding) and module is not embedding and _TABLE.search(name):
            # The first rows of some tables are for padding: their positions count from the offset.
            padding = 0 if module.padding_idx is None else module.padding_idx + 1
            found.append(module.num_embeddings - int(getattr(module, "offset", padding)))
        # Rotary tables of a fixed length, such as GPT-J's.
        found += [len(buffer) for key, buffer in module.named_buffers(recurse=False) if key == "embed_positions"]
        # MPT makes its biases, and CTRL its sinusoids, for a certain number of positions and cuts them to the input.
        made = getattr(module, "pos_encoding", None)
        found += [len(made)] if isinstance(made, Tensor) else []
        found += [model.config.max_seq_len] if hasattr(module, "build_mpt_alibi_tensor") else []
    declared = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    rows = embedding.weight.shape[0]
    # XLNet says -1 for no limit.
    declared = declared if isinstance(declared, int) and declared > 0 else None
    return InputLimits(min(found, default=None), declared, rows)


def positions_of(index: CheckpointIndex, trust_remote_code: bool) -> int | None:
    """Return :attr:`InputLimits.positions` of a checkpoint's model, without reading its weights."""
    return input_limits(load_skeleton(index, trust_remote_code)).positions


def cut(example: Example, positions: int | None) -> Example | None:
    """Cut an example to a number of tokens; None if none of those that count are left."""
    if positions is None or len(example) <= positions:
        return example
    shorter = replace(example, ids=example.ids[:positions], labels=example.labels[:positions])
    return shorter if shorter.counted else None


def cut_all(examples: Iterable[Example], positions: int | None) -> tuple[Example, ...]:
    """Cut examples, and leave out those of which nothing counts any more."""
    return tuple(found for example in examples if (found := cut(example, positions)) is not None)
