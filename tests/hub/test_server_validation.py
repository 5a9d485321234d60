"""The local Hub's check of cards."""

import pytest
from hub_validation import EMPTY, validate
from huggingface_hub import ModelCardData

GOOD = """
license: other
license_name: llama-3.2-community
license_link: LICENSE
language: [en, pt-BR, multilingual]
base_model: [org/base, gpt2]
base_model_relation: merge
tags: [spin]
datasets: org/rows
pipeline_tag: text-generation
library_name: spin-hub
anything: {else: 1}
model-index:
- name: tiny
  results:
  - task: {type: text-generation}
    dataset: {name: Rows, type: org/rows}
    metrics: [{type: accuracy, value: 0.5}]
"""


def errors(card: str, kind: str = "model") -> list[str]:
    return validate(f"---\n{card}\n---\nText", kind)[0]


def test_a_good_card_has_no_errors():
    assert errors(GOOD) == []
    assert errors("license: [mit, apache-2.0]\ntask_categories: [text-generation]\nlanguage: en", "dataset") == []
    made = ModelCardData(base_model="org/base", license="llama3.2", language=["en"], tags=["spin"])
    assert errors(made.to_yaml()) == []


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("license: mine", '"license" must be one of'),
        ("license: [mit, mine]", '"license[1]" must be one of'),
        ("license: other", '"license_name" is required'),
        ("license: other\nlicense_name: My Licence", '"license_name" with value "My Licence" is not valid'),
        ("base_model: /tmp/model", "Use a model id from https://hf.co/models."),
        ("base_model: ./model", "is not valid"),
        ("base_model: [org/base, a/b/c]", '"base_model[1]"'),
        ("base_model: {a: b}", '"base_model" must be a string'),
        ("base_model_relation: edited", '"base_model_relation" must be one of [adapter, finetune, merge, quantized]'),
        ("language: no", '"language" must be a string'),
        ("language: [english]", '"language[0]" with value "english" is not valid'),
        ("tags: spin", '"tags" must be an array'),
        ("tags: [1]", '"tags[0]" must be a string'),
        ("datasets: [/rows.jsonl]", "Use a dataset id"),
        ("pipeline_tag: writing", '"pipeline_tag" must be one of'),
        ("library_name: 3", '"library_name" must be a string'),
        ("model-index: {}", '"model-index" must be an array'),
        ("model-index: [{name: a}]", '"model-index[0].results" is required'),
        ("model-index: [{results: []}]", '"model-index[0].name" is required'),
        ("model-index: [{name: a, results: [{}]}]", '"model-index[0].results[0].task.type" is required'),
        ("license: [", "YAML: "),
        ("- a", "must be an object"),
    ],
)
def test_a_bad_card_is_told_what_is_wrong(card, said):
    found = errors(card)
    assert any(said in error for error in found), found
    assert not any("\n" in error for error in found)


def test_a_card_without_metadata_is_a_warning():
    assert validate("# A model", "model") == ([], [EMPTY])
    assert validate("---\n---\n", "model") == ([], [EMPTY])
    assert validate("\ufeff---\r\nlicense: mit\r\n---\r\n", "model") == ([], [])
