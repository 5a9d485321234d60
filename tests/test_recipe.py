import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_hub.core.selection import PAPER
from spin_hub.errors import ExpressionError, RatioOutOfRange, UnknownSet, UsageError
from spin_hub.recipe import PAPER_SETS, Destination, ScoringRecipe, SelectionRecipe, under_rule

RATIOS = st.floats(0, 1, exclude_min=True, exclude_max=True)
WORDS = st.sampled_from(["fairness", "privacy", "general", "safety", "_x1"])
COUNTS = st.none() | st.integers(1, 10**6)
RECIPES = st.builds(
    ScoringRecipe,
    sets=st.dictionaries(WORDS, st.text("ab:/é", max_size=5), min_size=1),
    samples=COUNTS,
    seed=st.integers(0, 2**40),
    target=st.sampled_from(["mlp", "self_attn", "all", "*.up_proj.weight"]),
    tokenization=st.just("exact"),
    accumulate=st.sampled_from(["float32", "model"]),
    chat_template=st.booleans(),
    max_length=COUNTS,
    strict_rows=st.booleans(),
    device=st.sampled_from(["auto", "cuda", "mps", "cpu"]),
    dtype=st.sampled_from(["auto", "float32", "bfloat16", "float16"]),
    engine=st.sampled_from(["auto", "whole"]),
    trust_remote_code=st.booleans(),
)


@given(RECIPES)
def test_a_scoring_recipe_comes_back_from_json(recipe):
    assert msgspec.json.decode(json.dumps(recipe.to_json()), type=ScoringRecipe) == recipe


def test_a_published_recipe_comes_back_from_json():
    recipe = ScoringRecipe(tokenization="published", accumulate="model")
    assert msgspec.json.decode(json.dumps(recipe.to_json()), type=ScoringRecipe) == recipe


def test_the_sets_of_the_paper_are_built_in():
    assert ScoringRecipe().sets == {name: f"builtin:{name}" for name in PAPER_SETS}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sets": {}}, "at least one"),
        ({"sets": {"two words": "x"}}, "'two words'"),
        ({"sets": {"fairness": "x", "": "y"}}, "word"),
        ({"sets": {"a-b": "x"}}, "'a-b'"),
        ({"sets": {"1st": "x"}}, "'1st'"),
        ({"samples": 0}, "samples"),
        ({"samples": -3}, "-3"),
        ({"max_length": 0}, "max_length"),
        ({"seed": -1}, "seed"),
        ({"tokenization": "published", "chat_template": True}, "chat template"),
        ({"tokenization": "fast"}, "'fast'"),
        ({"accumulate": "float64"}, "'float64'"),
        ({"device": "tpu"}, "'tpu'"),
        ({"dtype": "int8"}, "'int8'"),
        ({"engine": "magic"}, "'magic'"),
    ],
    ids=str,
)
def test_a_wrong_scoring_recipe_is_refused_with_what_is_wrong(changes, said):
    with pytest.raises(UsageError, match=said):
        ScoringRecipe(**changes)


@pytest.mark.parametrize("name", ["tokenization", "accumulate", "device", "dtype", "engine"])
def test_a_refused_choice_names_the_choices(name):
    with pytest.raises(UsageError, match=f"{name} must be one of .*{getattr(ScoringRecipe(), name)}"):
        ScoringRecipe(**{name: "other"})


def test_everything_wrong_in_a_recipe_ends_with_exit_code_two():
    assert {error.exit_code for error in (UsageError, RatioOutOfRange, ExpressionError, UnknownSet)} == {2}


@given(RATIOS, RATIOS)
def test_general_takes_p_and_every_other_set_q(p, q):
    recipe = SelectionRecipe(expression="(general | safety) - fairness & privacy", p=p, q=q)
    assert recipe.all_ratios == {"general": p, "safety": q, "fairness": q, "privacy": q}


@given(RATIOS, RATIOS, RATIOS, RATIOS)
def test_the_own_ratio_of_a_set_goes_before_p_and_q(p, q, general, privacy):
    recipe = SelectionRecipe(p=p, q=q, ratios={"general": general, "privacy": privacy})
    assert recipe.all_ratios == {"fairness": q, "privacy": privacy, "general": general}


def test_the_ratios_of_the_paper_are_the_default():
    assert set(SelectionRecipe().all_ratios.values()) == {5e-7}


@pytest.mark.parametrize("rule", ["paper", "published", "random"])
def test_every_rule_reads_the_sets_of_the_paper(rule):
    assert set(SelectionRecipe(rule).names) == set(PAPER_SETS)


def test_an_expression_reads_its_own_sets():
    assert SelectionRecipe(expression="a - (b & a)").names == ("a", "b")


@pytest.mark.parametrize("value", [0, 0.0, 1, 1.0, -1e-7, 1.5, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["p", "q"])
def test_p_and_q_lie_strictly_between_zero_and_one(name, value):
    with pytest.raises(RatioOutOfRange) as caught:
        SelectionRecipe(**{name: value})
    assert caught.value.facts["name"] == name


@pytest.mark.parametrize("value", [0, 1, -0.5, 2, float("nan")])
def test_the_own_ratio_of_a_set_lies_strictly_between_zero_and_one(value):
    with pytest.raises(RatioOutOfRange) as caught:
        SelectionRecipe(ratios={"privacy": value})
    assert caught.value.facts["name"] == "privacy"


@pytest.mark.parametrize("name", ["p", "q"])
def test_a_set_named_like_an_option_does_not_hide_a_wrong_ratio(name):
    with pytest.raises(RatioOutOfRange):
        SelectionRecipe(expression=f"{name} & privacy & general", ratios={name: 0.5}, **{name: 7.0})


@pytest.mark.parametrize("rule", ["Paper", "", "wanda"])
def test_an_unknown_rule_is_refused(rule):
    with pytest.raises(UsageError, match="paper, published, random"):
        SelectionRecipe(rule)


@pytest.mark.parametrize("rule", ["published", "random"])
def test_an_expression_contradicts_every_rule_but_the_paper_one(rule):
    with pytest.raises(UsageError, match="--select"):
        SelectionRecipe(rule, expression="fairness & privacy")


@pytest.mark.parametrize("changes", [{"p": 1e-6, "q": 1e-5}, {"ratios": {"general": 5e-7}}], ids=str)
def test_the_published_rule_needs_one_ratio(changes):
    with pytest.raises(UsageError, match="p = q"):
        SelectionRecipe("published", **changes)


@pytest.mark.parametrize(("expression", "name"), [(None, "safety"), ("a & b", "general")])
def test_a_ratio_of_a_set_that_takes_no_part_is_refused(expression, name):
    with pytest.raises(UnknownSet) as caught:
        SelectionRecipe(expression=expression, ratios={name: 0.1})
    assert caught.value.facts["name"] == name


def test_an_expression_that_does_not_parse_is_refused():
    with pytest.raises(ExpressionError):
        _ = SelectionRecipe(expression="fairness &").names


RULES = [
    SelectionRecipe(),
    SelectionRecipe("published", p=0.1, q=0.1),
    SelectionRecipe("random", seed=7),
    SelectionRecipe(expression="a & b", ratios={"b": 0.2}),
]


@pytest.mark.parametrize("recipe", RULES, ids=str)
def test_a_selection_recipe_is_plain_json_with_its_keys_sorted(recipe):
    entry = recipe.to_json()
    assert json.loads(json.dumps(entry)) == entry
    assert json.dumps(entry) == json.dumps(entry, sort_keys=True)


@pytest.mark.parametrize("recipe", RULES, ids=str)
def test_the_json_of_a_selection_recipe_has_the_ratio_of_every_set(recipe):
    assert recipe.to_json()["ratios"] == recipe.all_ratios


@pytest.mark.parametrize("recipe", [*RULES, SelectionRecipe(p=0.1, ratios={"privacy": 0.3})], ids=str)
def test_a_selection_recipe_comes_back_from_json(recipe):
    again = SelectionRecipe.from_json(json.loads(json.dumps(recipe.to_json())))
    assert (again.to_json(), again.names, again.seed) == (recipe.to_json(), recipe.names, recipe.seed)
    assert recipe.expression or again.ratios == recipe.ratios


@pytest.mark.parametrize("recipe", RULES[:3], ids=str)
def test_the_json_of_a_rule_names_it(recipe):
    assert recipe.to_json()["rule"] == recipe.rule


def test_the_json_of_a_selection_recipe_says_what_its_rule_needs():
    assert [sorted(recipe.to_json()) for recipe in RULES] == [
        ["expression", "p", "q", "ratios", "rule"],
        ["p", "q", "ratios", "rule"],
        ["expression", "p", "q", "ratios", "rule", "seed"],
        ["expression", "ratios"],
    ]


def test_the_json_of_the_paper_rule_spells_its_expression():
    assert SelectionRecipe().to_json()["expression"] == PAPER


@pytest.mark.parametrize("rule", ["paper", "random"])
@given(recipe=RECIPES)
def test_other_rules_imply_nothing(rule, recipe):
    assert under_rule(recipe, rule, {"accumulate": "model", "chat_template": True}) == recipe


@given(RECIPES)
def test_the_published_rule_scores_as_the_released_code_does(recipe):
    implied = under_rule(recipe, "published", {})
    assert (implied.tokenization, implied.accumulate, implied.chat_template) == ("published", "model", False)


@given(RECIPES)
def test_the_published_rule_changes_nothing_else(recipe):
    changed = {"tokenization", "accumulate", "chat_template"}
    before, after = recipe.to_json(), under_rule(recipe, "published", {}).to_json()
    assert {name for name in before if before[name] != after[name]} <= changed


@pytest.mark.parametrize(
    "asked",
    [
        {"tokenization": "published"},
        {"accumulate": "model"},
        {"chat_template": False},
        {"tokenization": None, "accumulate": None, "chat_template": None},
        {"dtype": "float16"},
    ],
    ids=str,
)
def test_what_agrees_with_the_published_rule_is_fine(asked):
    assert under_rule(ScoringRecipe(), "published", asked).tokenization == "published"


@pytest.mark.parametrize(
    "asked", [{"tokenization": "exact"}, {"accumulate": "float32"}, {"chat_template": True}], ids=str
)
def test_what_contradicts_the_published_rule_is_refused(asked):
    with pytest.raises(UsageError, match=next(iter(asked))):
        under_rule(ScoringRecipe(), "published", asked)


def test_a_destination_is_the_default_name_without_replacement():
    assert Destination() == Destination(path=None, overwrite=False)


@pytest.mark.parametrize("seed", ["x", 1.5, -5, [1], True, None])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(UsageError, match="seed"):
        SelectionRecipe("random", seed=seed)
