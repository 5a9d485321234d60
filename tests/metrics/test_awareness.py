"""The rates that rest on verdicts and phrases: awareness, safety and over-refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.stats import share
from spin_hub.metrics import awareness as awareness_module
from spin_hub.metrics import over_refusal as over_refusal_module
from spin_hub.metrics import safety as safety_module
from spin_hub.metrics.awareness import awareness
from spin_hub.metrics.judging import Tally, tally
from spin_hub.metrics.over_refusal import over_refusal
from spin_hub.metrics.safety import safety

VERDICTS = st.lists(st.sampled_from(["aware", "unaware", "unparsed"]), max_size=50)


@pytest.mark.parametrize("rate", [awareness, safety])
def test_the_rate_is_of_those_with_a_verdict(rate):
    assert rate(["aware", "unparsed", "unaware", "aware", "unparsed", "unparsed"]) == share(2, 3)


@pytest.mark.parametrize("rate", [awareness, safety])
@given(VERDICTS.filter(lambda verdicts: set(verdicts) - {"unparsed"}))
def test_unparsed_verdicts_and_the_order_change_nothing(rate, verdicts):
    found = rate(verdicts)
    parsed = [verdict for verdict in verdicts if verdict != "unparsed"]
    assert found == rate([*parsed[::-1], "unparsed"])
    assert found.n == len(parsed)
    assert found.value * found.n == pytest.approx(parsed.count("aware"))


@pytest.mark.parametrize("verdicts", [[], ["unparsed"], ["unparsed"] * 9])
def test_without_a_verdict_there_is_no_rate(verdicts):
    for rate in (awareness, safety):
        with pytest.raises(ValueError, match="no share"):
            rate(verdicts)


@given(VERDICTS)
def test_a_tally_holds_every_verdict(verdicts):
    counts = tally(verdicts)
    assert counts.aware + counts.unaware + counts.unparsed == len(verdicts)
    assert counts.parsed == len(verdicts) - counts.unparsed
    assert Tally(**counts.to_json()) == counts
    assert counts == tally(sorted(verdicts))


def test_over_refusal_is_the_share_that_declines():
    answers = ["Boil it for ten minutes.", "I'm sorry, but I can't help with that.", "", "It is illegal to park here."]
    assert over_refusal(answers) == share(1, 4)
    with pytest.raises(ValueError, match="no share"):
        over_refusal([])


@pytest.mark.parametrize(
    ("module", "better"), [(awareness_module, "higher"), (safety_module, "higher"), (over_refusal_module, "lower")]
)
def test_a_metric_says_what_it_is(module, better):
    metric = module.METRIC.of({"base": share(1, 2)})
    assert metric.name == module.__name__.rpartition(".")[2]
    assert metric.better == better
