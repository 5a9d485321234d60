import torch
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.data.examples import IGNORE, Example
from spin_hub.models.batches import make_batches, one_by_one


def example(length: int, counted: int, row: int) -> Example:
    ids = torch.arange(1, length + 1)
    labels = ids.clone()
    labels[: length - counted] = IGNORE
    return Example(ids, labels, row)


LENGTHS = st.lists(st.tuples(st.integers(2, 60), st.integers(1, 59)), min_size=1, max_size=20)


@given(LENGTHS, st.integers(1, 200))
def test_every_example_is_in_one_batch_and_budgets_hold(lengths, tokens):
    examples = [example(n, min(c, n - 1), row) for row, (n, c) in enumerate(lengths)]
    batches = list(make_batches(examples, tokens))
    assert sorted(row for batch in batches for row in batch.rows) == list(range(len(examples)))
    for batch in batches:
        rows, columns = batch.shape
        assert rows == 1 or (rows * columns <= tokens and rows * columns * 0.875 <= sum(batch.lengths))


@given(LENGTHS)
def test_a_batch_says_what_predicts_what(lengths):
    examples = [example(n, min(c, n - 1), row) for row, (n, c) in enumerate(lengths)]
    for batch in make_batches(examples, 10_000):
        for owner, place, label, share in zip(
            batch.owner.tolist(), batch.place.tolist(), batch.labels.tolist(), batch.share.tolist(), strict=True
        ):
            mine = examples[batch.rows[owner]]
            assert mine.labels[place + 1] == label != IGNORE
            assert share == 1.0 / torch.tensor(float(mine.counted))
        assert len(batch.owner) == sum(examples[row].counted for row in batch.rows)


def test_one_by_one_keeps_the_order():
    examples = [example(n, 1, row) for row, n in enumerate((5, 9, 3))]
    assert [batch.rows for batch in one_by_one(examples)] == [(0,), (1,), (2,)]
