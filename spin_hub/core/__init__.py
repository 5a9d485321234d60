"""Numbers in, numbers out: importance, rankings, selections, deltas."""
