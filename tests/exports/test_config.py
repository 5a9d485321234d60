"""Configs are PEFT's own, equal from process to process; without PEFT, or with an old one, a sentence says so."""

import json

import peft
import pytest

from spin_hub.errors import MissingDependency, SpinHubError
from spin_hub.exports import adapter as config
from spin_hub.exports.adapter import CONFIG, Adapter, config_class, write_config

TARGETS = ("model.layers.1.mlp.up_proj", "model.layers.0.mlp.up_proj")


def test_peft_reads_back_what_it_was_told(tmp_path):
    write_config(tmp_path, Adapter("SUPERTUNING", TARGETS, {"sparsity": 0.75}, {}, dict), "org/name", "abc")
    found = peft.PeftConfig.from_pretrained(str(tmp_path))
    assert isinstance(found, peft.SupertuningConfig)
    assert (found.base_model_name_or_path, found.revision, found.task_type) == ("org/name", "abc", "CAUSAL_LM")
    assert (found.sparsity, found.r, found.inference_mode, found.select_top) == (0.75, None, True, True)
    assert json.loads((tmp_path / CONFIG).read_text())["target_modules"] == sorted(TARGETS)


def test_without_peft_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(config, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency) as missing:
        config_class("LORA")
    assert 'pip install "spin-hub[peft]"' in missing.value.hint


@pytest.mark.parametrize(("kind", "name"), [("SUPERTUNING", "SupertuningConfig"), ("SHIRA", "ShiraConfig")])
def test_an_old_peft_is_named_with_the_version_that_has_the_type(kind, name, monkeypatch):
    monkeypatch.delattr(peft, name)
    with pytest.raises(SpinHubError) as old:
        config_class(kind)
    assert peft.__version__ in old.value.message
    assert f"peft {config.SINCE[kind]} or newer" in old.value.hint
    assert ("--peft-type shira" in old.value.hint) == (kind == "SUPERTUNING")
