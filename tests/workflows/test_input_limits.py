"""Examples and the tool's own texts against a model's positions and embedding."""

import json
from pathlib import Path

import models
import pytest
from odd_models import EDIT, SIZES, refusal
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    CTRLConfig,
    GPT2Config,
    GPTJConfig,
    GPTNeoConfig,
    MptConfig,
    OPTConfig,
    RobertaConfig,
    XLNetConfig,
)

from spin_hub.checkpoint.index import read_index
from spin_hub.models.limits import input_limits
from spin_hub.models.load import load_skeleton


def tabled(folder, kind, positions):
    """A model that looks its positions up in a table of a fixed length."""
    common = {**SIZES, "pad_token_id": 0}
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = {
        "gpt2": lambda: GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=positions, **SIZES),
        "gpt_neo": lambda: GPTNeoConfig(
            hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global"], 2]], intermediate_size=64,
            max_position_embeddings=positions, **SIZES,
        ),
        "gptj": lambda: GPTJConfig(n_embd=32, n_layer=2, n_head=4, n_positions=positions, rotary_dim=4, **SIZES),
        "opt": lambda: OPTConfig(ffn_dim=64, word_embed_proj_dim=32, max_position_embeddings=positions, **common, **{
            name: small[name] for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")
        }),
        "bert": lambda: BertConfig(is_decoder=True, max_position_embeddings=positions, **common, **small),
        "mpt": lambda: MptConfig(d_model=32, n_layers=2, n_heads=4, max_seq_len=positions, **SIZES),
        "ctrl": lambda: CTRLConfig(n_embd=32, n_layer=2, n_head=4, dff=64, n_positions=positions, **SIZES),
        "roberta": lambda: RobertaConfig(is_decoder=True, max_position_embeddings=positions + 1, **common, **small),
    }[kind]()  # fmt: skip
    return models.save_checkpoint(folder, config)


def rows(path, *lengths):
    lines = [json.dumps({"prompt": f"{number:02}", "response": "x" * length}) for number, length in enumerate(lengths)]
    path.write_text("\n".join(lines), "utf-8")
    return path


TABLED = ("gpt2", "gpt_neo", "gptj", "opt", "bert", "mpt", "ctrl", "roberta")
SHORT = ("--fairness", "short.jsonl", "--privacy", "short.jsonl", "--samples", "8")


@pytest.mark.parametrize("kind", TABLED)
def test_the_positions_of_a_table_are_found(kind):
    model = load_skeleton(read_index(tabled(Path("base"), kind, 64)), False)
    assert input_limits(model).positions == 64


@pytest.mark.parametrize("kind", ["gpt2", "opt"])
@pytest.mark.parametrize("verb", ["edit", "score", "plan"])
def test_a_row_longer_than_the_models_positions_is_named_before_the_weights_are_read(kind, verb, cli, monkeypatch):
    base = tabled(Path("base"), kind, 64)
    rows(Path("short.jsonl"), *[20] * 8)
    rows(Path("long.jsonl"), *[20] * 6, 500, 500)
    monkeypatch.setattr("spin_hub.scoring.score.load_model", None)
    words = {"edit": ("edit", base, *EDIT[:4], "--no-eval"), "score": ("score", base), "plan": ("edit", base, "--plan")}
    error = refusal(cli(*words[verb], *SHORT, "--general", "long.jsonl", "--target", "self_attn", "--json"))
    assert "has 502 tokens, but the model has 64 positions (1 more" in error["message"]
    assert "'general'" in error["message"]
    assert "--max-length 64" in error["hint"]


def test_rows_cut_to_the_positions_are_scored(cli):
    base = tabled(Path("base"), "gpt2", 64)
    rows(Path("short.jsonl"), *[20] * 8)
    rows(Path("long.jsonl"), *[20] * 6, 500, 500)
    options = (*EDIT[:4], *SHORT, "--general", "long.jsonl", "--no-eval", "--max-length", "64")
    assert cli("edit", base, *options, "-o", "out")[0] == 0


@pytest.mark.parametrize("kind", ["gpt2", "gptj", "mpt", "bert"])
def test_what_the_tool_itself_reads_is_cut_to_the_positions_and_said(kind, cli, few_texts):
    base = tabled(Path("base"), kind, 300)
    code, _, err = cli("edit", base, *EDIT, "-o", "out")
    assert code == 0, err
    assert "are cut to the model's 300 positions" in err
    assert "measured with are cut to the model's 300 positions" in err
    assert cli("reproduce", "out", "--base", base)[0] == 0
    code, _, err = cli("eval", "out", "--against", base, "--suite", "quick")
    assert code == 0, err
    assert "measured with are cut to the model's 300 positions" in err


def test_a_rotary_model_goes_on_beyond_its_positions_with_a_note(cli):
    base = models.save_checkpoint(Path("base"), models.tiny_config(max_position_embeddings=64))
    code, _, err = cli("edit", base, *EDIT, "--no-eval", "-o", "out")
    assert code == 0
    assert "the model was made for 64" in err


def test_a_config_that_names_no_limit_declares_none():
    config = XLNetConfig(vocab_size=260, d_model=32, n_layer=2, n_head=4, d_inner=64)
    assert config.max_position_embeddings == -1
    assert input_limits(AutoModelForCausalLM.from_config(config)).declared is None


def test_tokens_beyond_the_embedding_are_counted(cli):
    base = models.save_checkpoint(
        Path("base"), models.tiny_config(vocab_size=100, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    )
    error = refusal(cli("edit", base, "--plan", *EDIT, "--json"))
    assert "embedding has 100 rows" in error["message"]


def test_a_model_too_short_for_the_texts_is_not_measured(cli):
    error = refusal(cli("eval", tabled(Path("base"), "gpt2", 64), "--suite", "quick", "--json"))
    assert "The model has 64 positions, too few" in error["message"]
    assert "spin-hub edit --no-eval" in error["hint"]


@pytest.mark.parametrize("verb", ["edit", "plan", "sweep"])
def test_a_model_too_short_for_the_texts_is_refused_before_it_is_scored(verb, cli, monkeypatch):
    base = tabled(Path("base"), "gpt2", 64)
    rows(Path("short.jsonl"), *[20] * 8)
    monkeypatch.setattr("spin_hub.scoring.score.load_model", None)
    options = {"edit": EDIT[:4], "plan": (*EDIT[:4], "--plan"), "sweep": ()}[verb]
    error = refusal(
        cli(verb.replace("plan", "edit"), base, *options, *SHORT, "--general", "short.jsonl", "-o", "out", "--json")
    )
    assert "too few for the texts" in error["message"]
    assert list(Path().glob("out*")) == []


def test_a_prompt_longer_than_the_maximal_length_is_answered_with_its_tokens(cli):
    rows(Path("short.jsonl"), *[20] * 8)
    base = models.save_checkpoint(Path("base"))
    error = refusal(cli("edit", base, *EDIT[:4], *SHORT, "--general", "short.jsonl", "--max-length", "2", "--json"))
    assert "max_length 2 leaves no response token" in error["message"]
    assert "Raise --max-length: 2 tokens come before the response" in error["hint"]


def test_answers_that_would_outgrow_the_positions_are_refused(cli):
    base = tabled(Path("base"), "gpt2", 64)
    error = refusal(cli("eval", base, "--suite", "answers", "--limit", "2", "--json"))
    assert "the model's 64 positions" in error["message"]
    assert "--new-tokens" in error["hint"]
