"""The Hub's check of a card's metadata, before a push and in every commit."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from hub_cards import front_matter
from hub_repo import Kind
from hub_vocabulary import LICENCES, PIPELINES, RELATIONS

REPO_ID = re.compile(r"(?!.*(--|\.\.))(?:[A-Za-z0-9_][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}(?<![.-])")
LANGUAGE = re.compile(r"multilingual|code|[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
LICENCE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
EMPTY = "empty or missing yaml metadata in repo card"

Check = Callable[[Any], Iterator[str]]


def validate(text: str, kind: Kind) -> tuple[list[str], list[str]]:
    """Checks a card.

    Returns:
        Its errors, which stop a commit, and its warnings, which do not.
    """
    try:
        card = front_matter(text)
    except yaml.YAMLError as error:
        return [f"YAML: {' '.join(str(error).split())}"], []
    if card is None:
        return [], [EMPTY]
    if not isinstance(card, dict):
        return ["The metadata must be an object"], []
    checks = _MODEL if kind == "model" else _DATASET
    errors = [error for name, check in checks.items() if card.get(name) is not None for error in check(card[name])]
    if "other" in _listed(card.get("license")) and not card.get("license_name"):
        errors.append('"license_name" is required where "license" is other')
    return errors, []


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _texts(name: str) -> Check:
    """A string or a list of strings."""

    def check(value: Any) -> Iterator[str]:
        for place, entry in enumerate(_listed(value)):
            if not isinstance(entry, str) or not entry.strip():
                yield f'"{_spot(name, value, place)}" must be a string'

    return check


def _list_of_texts(name: str) -> Check:
    def check(value: Any) -> Iterator[str]:
        if not isinstance(value, list):
            yield f'"{name}" must be an array'
            return
        yield from _texts(name)(value)

    return check


def _one_of(name: str, allowed: frozenset[str] | tuple[str, ...], many: bool = False) -> Check:
    def check(value: Any) -> Iterator[str]:
        for place, entry in enumerate(_listed(value) if many else [value]):
            if not isinstance(entry, str) or entry not in allowed:
                yield f'"{_spot(name, value, place)}" must be one of [{", ".join(sorted(allowed))}]'

    return check


def _matching(name: str, pattern: re.Pattern[str], hint: str, many: bool = True) -> Check:
    def check(value: Any) -> Iterator[str]:
        for place, entry in enumerate(_listed(value) if many else [value]):
            if not isinstance(entry, str):
                yield f'"{_spot(name, value, place)}" must be a string'
            elif not pattern.fullmatch(entry):
                yield f'"{_spot(name, value, place)}" with value "{entry}" is not valid. {hint}'

    return check


def _spot(name: str, value: Any, place: int) -> str:
    return f"{name}[{place}]" if isinstance(value, list) else name


def _model_index(value: Any) -> Iterator[str]:
    """Results of evaluations: a list of models with results, each of a task, a data set and metrics."""
    if not isinstance(value, list):
        yield '"model-index" must be an array'
        return
    for place, model in enumerate(value):
        if not isinstance(model, dict) or not isinstance(model.get("name"), str):
            yield f'"model-index[{place}].name" is required'
        elif not isinstance(model.get("results"), list):
            yield f'"model-index[{place}].results" is required'
        else:
            for number, result in enumerate(model["results"]):
                yield from _result(f"model-index[{place}].results[{number}]", result)


def _result(where: str, result: Any) -> Iterator[str]:
    if not isinstance(result, dict):
        yield f'"{where}" must be an object'
        return
    for part, needed in {"task": ["type"], "dataset": ["type", "name"]}.items():
        for name in needed:
            if not isinstance(result.get(part), dict) or not isinstance(result[part].get(name), str):
                yield f'"{where}.{part}.{name}" is required'
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield f'"{where}.metrics" is required'
        return
    for place, metric in enumerate(metrics):
        if not isinstance(metric, dict) or "type" not in metric or "value" not in metric:
            yield f'"{where}.metrics[{place}]" needs a type and a value'


_SHARED: dict[str, Check] = {
    "license": _one_of("license", LICENCES, many=True),
    "license_name": _matching("license_name", LICENCE_NAME, "It is of lower case letters, digits, - and .", many=False),
    "license_link": _texts("license_link"),
    "language": _matching("language", LANGUAGE, "It must be an ISO 639 code; quote it, for no is false in YAML."),
    "tags": _list_of_texts("tags"),
}
_MODEL: dict[str, Check] = {
    **_SHARED,
    "base_model": _matching("base_model", REPO_ID, "Use a model id from https://hf.co/models."),
    "base_model_relation": _one_of("base_model_relation", RELATIONS),
    "datasets": _matching("datasets", REPO_ID, "Use a dataset id from https://hf.co/datasets."),
    "library_name": _texts("library_name"),
    "metrics": _texts("metrics"),
    "pipeline_tag": _one_of("pipeline_tag", PIPELINES),
    "model-index": _model_index,
}
_DATASET: dict[str, Check] = {**_SHARED, "task_categories": _one_of("task_categories", PIPELINES, many=True)}
