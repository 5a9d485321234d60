"""Measures how long an edit takes to be switched on and off in a loaded model.

    python benchmarks/switching.py [--weights N ...]

The model has the shapes of a small chat model's MLP (90 matrices of 1536 x 576, bfloat16, random); the positions are
random too. On and off again is one measurement; it is repeated, and the best and the median are told.
"""

import argparse

import numpy as np
import torch
from measure import machine, seconds, table
from torch import nn

from spin_hub.core.selection import Selection
from spin_hub.models.edit import switched

MATRICES, SHAPE, ROUNDS = 90, (1536, 576), 50


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    options = parser.parse_args()
    print(machine())
    model = nn.ModuleList(nn.Linear(*SHAPE[::-1], bias=False, dtype=torch.bfloat16) for _ in range(MATRICES))
    random = np.random.default_rng(0)
    rows = []
    for weights in options.weights:
        each = weights // MATRICES
        indices = {
            f"{number}.weight": np.sort(random.choice(SHAPE[0] * SHAPE[1], each, replace=False)).astype(np.int64)
            for number in range(MATRICES)
        }
        selection = Selection(indices)

        def once(selection: Selection = selection) -> None:
            with switched(model, selection):
                pass

        taken = sorted(seconds(once) for _ in range(ROUNDS))
        rows.append((f"{selection.weights:,}", f"{1e3 * taken[0]:.2f}", f"{1e3 * taken[ROUNDS // 2]:.2f}"))
    print(table(("weights", "best ms", "median ms"), rows))


if __name__ == "__main__":
    main()
