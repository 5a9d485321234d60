import errno
import tempfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.scoring.memory import MemoryBudget
from spin_hub.scoring.store import Store

TENSORS = (
    torch.randn(3, 5),
    torch.randn(2, 4, 6).bfloat16(),
    torch.randn(4, 3).half().t(),
    torch.arange(7),
    torch.zeros(0, 3),
    torch.tensor(2.5),
)


@pytest.mark.parametrize("room", [MemoryBudget(), MemoryBudget(host=0), MemoryBudget(host=100)])
def test_what_is_kept_comes_back_bit_by_bit(room):
    with Store(room) as store:
        for number, tensor in enumerate(TENSORS):
            store.put(number, tensor)
        for _ in range(2):
            for number, tensor in enumerate(TENSORS):
                found = store.get(number)
                assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
                assert torch.equal(found, tensor)


def test_memory_is_filled_before_the_file():
    with Store(MemoryBudget(host=100)) as store:
        for number in range(4):
            store.put(number, torch.zeros(12))
        assert store.used == {"device": 0, "host": 96, "file": 96}
        store.take(0)
        store.put("small", torch.zeros(10))
        assert store.used == {"device": 0, "host": 88, "file": 96}
    assert MemoryBudget().host is None


def test_what_was_taken_is_gone():
    with Store() as store:
        store.put("a", torch.ones(2))
        store.take("a")
        assert store.used["host"] == 0
        with pytest.raises(KeyError):
            store.get("a")


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=60))
def test_ranges_of_the_file_that_were_given_back_are_used_again(steps):
    kept = {}
    with Store(MemoryBudget(host=0)) as store:
        most = dict.fromkeys((1, 2, 3), 0)
        for number, (adds, size) in enumerate(steps):
            if adds:
                kept[number] = torch.full((size,), float(number))
                store.put(number, kept[number])
                most[size] = max(most[size], sum(len(value) == size for value in kept.values()))
            elif kept:
                key = next(iter(kept))
                assert torch.equal(store.take(key), kept.pop(key))
        assert all(torch.equal(store.get(key), value) for key, value in kept.items())
        if store._file is not None:
            assert store._file._end <= sum(4 * size * count for size, count in most.items())


def test_the_file_has_no_name_and_is_gone_after_a_failure(tmp_path):
    with pytest.raises(ZeroDivisionError), Store(MemoryBudget(host=0, folder=tmp_path)) as store:
        store.put("a", torch.ones(3))
        assert not list(tmp_path.iterdir())
        raise ZeroDivisionError
    assert store._file._file.closed


def test_a_file_that_cannot_grow_is_an_error_that_says_why(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError) as caught, Store(MemoryBudget(host=0, folder=tmp_path)) as store:
            store.put("a", torch.ones(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG


def test_a_file_that_has_a_name_serves_too(tmp_path, monkeypatch):
    """Windows keeps a temporary file's name until the file is closed."""
    monkeypatch.setattr(tempfile, "TemporaryFile", tempfile.NamedTemporaryFile)
    with Store(MemoryBudget(host=0, folder=tmp_path)) as store:
        for number, tensor in enumerate(TENSORS):
            store.put(number, tensor)
        assert len(list(tmp_path.iterdir())) == 1
        assert all(torch.equal(store.get(number), tensor) for number, tensor in enumerate(TENSORS))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), Store(MemoryBudget(host=0, folder=tmp_path / "none")) as store:
        store.put("a", torch.ones(1))
