import threading
import time

import pytest
import torch

from spin_hub.errors import UsageError
from spin_hub.models import speed
from spin_hub.models.speed import GIVEN, Speed, Unusable, parse_speeds, probe, speeds

CPU = torch.device("cpu")
PLAIN = torch.float32


def test_every_product_of_a_usable_precision_has_a_speed():
    found = probe(CPU, [PLAIN])[PLAIN]
    assert isinstance(found, Speed)
    assert min(found.forward, found.backward, found.gradient) > 0


def test_a_precision_that_the_device_refuses_is_unusable_and_the_others_are_measured():
    found = probe(CPU, [torch.uint16, PLAIN])
    assert isinstance(found[torch.uint16], Unusable)
    assert "\n" not in found[torch.uint16].why
    assert isinstance(found[PLAIN], Speed)


def test_the_number_of_threads_is_as_before(monkeypatch):
    before = torch.get_num_threads()
    probe(CPU, [PLAIN, torch.uint16])
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("clock", [lambda: 7.0, iter(range(10**6, 0, -1)).__next__])
def test_a_clock_that_stands_still_or_runs_backwards_gives_a_speed_all_the_same(clock, monkeypatch):
    monkeypatch.setattr(time, "perf_counter", clock)
    found = probe(CPU, [PLAIN])[PLAIN]
    assert isinstance(found, Speed)
    assert found.seconds(1, 1, 1) > 0


def test_speeds_are_measured_once_a_process(monkeypatch):
    monkeypatch.delenv(GIVEN, raising=False)
    monkeypatch.setattr(speed, "_known", {})
    asked = []

    def counted(device, dtypes):
        asked.append(dtypes)
        return {dtype: Speed(1e9, 1e9, 1e9) for dtype in dtypes}

    monkeypatch.setattr(speed, "probe", counted)
    threads = [threading.Thread(target=speeds, args=(CPU, {PLAIN, torch.bfloat16})) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    speeds(CPU, {PLAIN, torch.float16})
    assert asked == [[torch.bfloat16, PLAIN], [torch.float16]]


def test_given_speeds_take_the_place_of_measured_ones(monkeypatch):
    monkeypatch.setenv(GIVEN, "float32:141,bfloat16:1.2/22/23")
    found = speeds(CPU, {PLAIN, torch.bfloat16, torch.float16})
    assert found[PLAIN] == Speed(141e9, 141e9, 141e9)
    assert found[torch.bfloat16] == Speed(1.2e9, 22e9, 23e9)
    assert isinstance(found[torch.float16], Unusable)


@pytest.mark.parametrize("text", ["", "float32", "float32:", "float32:0", "float32:-1", "float32:inf", "float32:1/2",
                                  "Tensor:1", "float32:nan", "float99:1", "float32:1;bfloat16:2"])  # fmt: skip
def test_given_speeds_of_another_form_are_a_mistake_of_the_user(text):
    with pytest.raises(UsageError, match=GIVEN):
        parse_speeds(text)


def test_the_time_of_scoring_counts_each_product_at_its_own_speed():
    slow = Speed(1.0, 4.0, 2.0)
    assert slow.seconds(forward=2, backward=4, gradient=6) == 2 + 1 + 3
    assert slow.scoring == 4 / (2 / 1 + 1 / 4 + 1 / 2)
