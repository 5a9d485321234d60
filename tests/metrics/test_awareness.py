"""The rates that rest on verdicts and phrases: awareness, safety and over-refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.stats import share
from spin_hub.evidence import METRICS
from spin_hub.metrics.awareness import awareness
from spin_hub.metrics.over_refusal import over_refusal

VERDICTS = st.lists(st.sampled_from(["aware", "unaware", "unparsed"]), max_size=50)


def test_the_rate_is_of_those_with_a_verdict():
    assert awareness(["aware", "unparsed", "unaware", "aware", "unparsed", "unparsed"]) == share(2, 3)


@given(VERDICTS.filter(lambda verdicts: set(verdicts) - {"unparsed"}))
def test_unparsed_verdicts_and_the_order_change_nothing(verdicts):
    found = awareness(verdicts)
    parsed = [verdict for verdict in verdicts if verdict != "unparsed"]
    assert found == awareness([*parsed[::-1], "unparsed"])
    assert found.n == len(parsed)
    assert found.value * found.n == pytest.approx(parsed.count("aware"))


@pytest.mark.parametrize("verdicts", [[], ["unparsed"], ["unparsed"] * 9])
def test_without_a_verdict_there_is_no_rate(verdicts):
    with pytest.raises(ValueError, match="no share"):
        awareness(verdicts)


def test_over_refusal_is_the_share_that_declines():
    answers = ["Boil it for ten minutes.", "I'm sorry, but I can't help with that.", "", "It is illegal to park here."]
    assert over_refusal(answers) == share(1, 4)
    with pytest.raises(ValueError, match="no share"):
        over_refusal([])


def test_safe_answers_are_the_aware_ones():
    assert METRICS["safety"].rate is METRICS["awareness"].rate is awareness
