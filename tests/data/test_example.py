"""What an example's fingerprint depends on."""

import hashlib

import torch

from spin_hub.data.examples import IGNORE, Example, fingerprint


def example(ids, labels, row=0):
    return Example(torch.tensor(ids), torch.tensor(labels), row)


ONE, TWO = example([5, 6, 7], [IGNORE, 6, 7]), example([8], [IGNORE])


def test_only_tokens_that_are_labelled_count():
    assert (len(ONE), ONE.counted, TWO.counted) == (3, 2, 0)


def test_the_fingerprint_is_of_lengths_tokens_and_labels_in_order():
    def words(*numbers):
        return b"".join(int(number).to_bytes(8, "little", signed=True) for number in numbers)

    expected = words(3, 5, 6, 7, IGNORE, 6, 7, 1, 8, IGNORE)
    assert fingerprint([ONE, TWO]) == hashlib.sha256(expected).hexdigest()
    assert fingerprint([]) == hashlib.sha256().hexdigest()


def test_it_tells_other_tokens_labels_and_orders_apart_but_not_rows():
    others = [
        [TWO, ONE], [ONE], [ONE, TWO, TWO], [example([5, 6, 8], [IGNORE, 6, 7]), TWO],
        [example([5, 6, 7], [IGNORE, IGNORE, 7]), TWO],
    ]  # fmt: skip
    assert len({fingerprint(rows) for rows in [[ONE, TWO], *others]}) == 6
    assert fingerprint([example([5, 6, 7], [IGNORE, 6, 7], row=9)]) == fingerprint([ONE])
