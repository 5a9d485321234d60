import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.units import about, duration, human_bytes


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (7, "7 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (38_000, "37.1 KiB"),
        (1 << 20, "1.0 MiB"),
        (3 << 29, "1.5 GiB"),
        (5 << 40, "5.0 TiB"),
        (5 << 50, "5,120.0 TiB"),
    ],
)
def test_bytes_are_written_for_people(size, text):
    assert human_bytes(size) == text


@given(st.integers(0, 2**49))
def test_bytes_written_for_people_are_nearly_exact(size):
    number, unit = human_bytes(size).split()
    scale = {"byte": 1, "bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}[unit]
    assert abs(float(number) * scale - size) <= 0.05 * scale + 1e-6


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0.0 s"),
        (0.04, "0.0 s"),
        (0.4, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86_399, "24 h"),
        (555_943, "6 d 10 h"),
        (1e9, "11,574 d 2 h"),
        (math.inf, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_durations_are_written_for_people(seconds, text):
    assert duration(seconds) == text


@given(st.floats(0, 1e8))
def test_durations_written_for_people_are_nearly_exact(seconds):
    parts = duration(seconds).replace(",", "").split()
    scale = {"s": 1, "min": 60, "h": 3600, "d": 86400}
    said = sum(float(number) * scale[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True))
    smallest = {"s": 1, "min": 1, "h": 60, "d": 3600}[parts[1]]
    assert abs(said - seconds) <= 0.5 * smallest + 0.5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "1 s"),
        (0.2, "1 s"),
        (7.4, "7 s"),
        (42.4, "42 s"),
        (59.7, "1 min"),
        (203, "3 min 20 s"),
        (1642, "27 min"),
        (3599, "1 h"),
        (7600, "2 h 10 min"),
        (40_000, "11 h"),
        (555_943, "6 d 10 h"),
        (5e6, "58 d"),
        (math.inf, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_estimates_are_no_more_exact_than_they_can_be(seconds, text):
    assert about(seconds) == text


@given(st.floats(30, 1e8))
def test_estimates_are_rounded_by_no_more_than_a_tenth(seconds):
    scale = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
    words = about(seconds).replace(",", "").split()
    said = sum(int(number) * scale[unit] for number, unit in zip(words[::2], words[1::2], strict=True))
    assert said == pytest.approx(seconds, rel=0.1)
