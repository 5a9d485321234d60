"""Failures of the Hub's client, typed, also where a second question fails."""

from types import SimpleNamespace

import pytest
from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError

from spin_hub.errors import HubSilent, ModelNotFound
from spin_hub.hub import client as asking


def failing(kind):
    return kind("gone", response=SimpleNamespace(headers={}, request=None, status_code=404))


@pytest.mark.parametrize(
    "second",
    [HTTPError("no route"), OfflineModeIsEnabled("off"), OSError("broken")],
    ids=lambda error: type(error).__name__,
)
def test_a_model_that_is_gone_is_gone_whatever_comes_of_the_next_question(monkeypatch, second):
    def ask(*_, **__):
        raise second

    monkeypatch.setattr(asking.HfApi, "repo_exists", ask)
    with pytest.raises(ModelNotFound, match="no such model"), asking.typed(asking.a_model("org/a"), "for org/a"):
        raise failing(RepositoryNotFoundError)


def test_a_revision_that_is_gone_asks_nothing_more(monkeypatch):
    monkeypatch.setattr(asking.HfApi, "repo_exists", None)
    with pytest.raises(ModelNotFound, match="revision"), asking.typed(asking.a_model("org/a", "a"), "for org/a"):
        raise failing(RevisionNotFoundError)


def test_silence_is_told_with_what_was_asked():
    with (
        pytest.raises(HubSilent, match="asked for config.json of org/a: no route"),
        asking.typed(asking.a_model("org/a"), "for config.json of org/a"),
    ):
        raise HTTPError("no route")
