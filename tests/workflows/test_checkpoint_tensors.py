"""Every tensor of a checkpoint is accounted for before scoring, whatever it is called in the files."""

import json
from pathlib import Path

import models
import pytest
import torch
from odd_models import EDIT, SIZES, change, refusal, retensor
from safetensors.torch import load_file
from transformers import AutoModel, BloomConfig, GPT2Config

INNER = {
    "gpt2": (GPT2Config(n_embd=32, n_layer=2, n_head=4, **SIZES), "GPT2LMHeadModel", "h.0.mlp.c_fc.weight"),
    "bloom": (
        BloomConfig(hidden_size=32, n_layer=2, n_head=4, **SIZES),
        "BloomForCausalLM",
        "h.0.mlp.dense_h_to_4h.weight",
    ),
    "llama": (
        models.tiny_config(tie_word_embeddings=True, num_hidden_layers=2),
        "LlamaForCausalLM",
        "layers.0.mlp.up_proj.weight",
    ),
}


def inner(folder: Path, kind: str) -> Path:
    """A checkpoint saved from the model without its head, as the Hub's GPT-2 is."""
    config, architecture, _ = INNER[kind]
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    models.byte_tokenizer().save_pretrained(folder)
    return change(folder, architectures=[architecture])


def renamed(folder: Path, prefix: str) -> Path:
    return retensor(folder, lambda tensors: {f"{prefix}{name}": tensor for name, tensor in tensors.items()})


@pytest.mark.parametrize("kind", INNER)
def test_a_checkpoint_of_the_inner_model_is_edited_under_the_names_of_its_files(kind, cli, few_texts):
    base, name = inner(Path("base"), kind), INNER[kind][2]
    code, _, err = cli("edit", base, *EDIT, "-o", "out")
    assert code == 0, err
    before, after = load_file(base / "model.safetensors"), load_file("out/model.safetensors")
    changed = {key for key, tensor in before.items() if not torch.equal(tensor, after[key])}
    assert name in changed
    assert all(".mlp." in key for key in changed)
    assert cli("verify", "out", "--base", base)[0] == 0
    measured = json.loads(Path("out/spin/spin.json").read_text("utf-8"))["evaluation"]["metrics"]
    drift = next(metric for metric in measured if metric["name"] == "kl")
    assert drift["values"]["edited"]["value"] > 0
    assert cli("reproduce", "out", "--base", base)[0] == 0
    assert cli("apply", "out", base, "-o", "again")[0] == 0
    assert (Path("again") / "model.safetensors").read_bytes() == (Path("out") / "model.safetensors").read_bytes()


@pytest.mark.parametrize("kind", INNER)
def test_scores_do_not_depend_on_the_names_in_the_files(kind, cli):
    base = inner(Path("base"), kind)
    prefix = "model." if kind == "llama" else "transformer."
    whole = renamed(inner(Path("whole"), kind), prefix)
    chosen = []
    for folder in (base, whole):
        assert cli("edit", folder, *EDIT, "--no-eval", "--as", "delta", "-o", f"{folder}-delta")[0] == 0
        chosen.append(load_file(f"{folder}-delta/spin_delta.safetensors"))
    assert {f"{prefix}{name}" for name in chosen[0]} == set(chosen[1])
    assert all(torch.equal(tensor, chosen[1][f"{prefix}{name}"]) for name, tensor in chosen[0].items())


def test_a_prefix_too_many_is_taken_as_transformers_takes_it(cli):
    base = renamed(models.save_checkpoint(Path("base")), "model.")
    assert cli("edit", base, *EDIT, "--no-eval", "-o", "out")[0] == 0
    assert cli("verify", "out", "--base", base)[0] == 0


@pytest.mark.parametrize(
    ("form", "kind", "layers"), [("peft", "llama", "model.layers"), ("lora", "gpt2", "transformer.h")]
)
def test_an_adapter_of_a_checkpoint_of_the_inner_model_names_modules_of_the_loaded_one(form, kind, layers, cli):
    base = inner(Path("base"), kind)
    assert cli("edit", base, *EDIT, "--no-eval", "--as", form, "--plan")[0] == 0
    code, _, err = cli("edit", base, *EDIT, "--no-eval", "--as", form, "-o", "out")
    assert code == 0, err
    assert all(name.startswith(f"base_model.model.{layers}.") for name in load_file("out/adapter_model.safetensors"))
    assert cli("verify", "out", "--base", base)[0] == 0


def test_layers_are_read_from_the_shards_by_their_names_there(cli):
    base = inner(Path("base"), "llama")
    options = (*EDIT, "--no-eval", "--as", "delta", "--dtype", "float64")
    for number, limit in enumerate(((), ("--max-memory", "650MB"))):
        code, _, err = cli("edit", base, *options, *limit, "-o", f"out{number}")
        assert code == 0, err
    one, two = (load_file(f"out{number}/spin_delta.safetensors") for number in (0, 1))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def without(*names):
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name not in names}


UP = "model.layers.1.mlp.up_proj"
REFUSED = {
    "a missing head": (without("lm_head.weight"), "lm_head.weight", "head"),
    "a missing matrix": (without(f"{UP}.weight"), f"{UP}.weight", "random"),
    "LoRA factors": (
        lambda tensors: {**tensors, f"{UP}.lora_A.weight": torch.ones(2, 32), f"{UP}.lora_B.weight": torch.ones(64, 2)},
        "lora_A.weight",
        "Merge the adapter",
    ),
    "a bias": (lambda tensors: {**tensors, f"{UP}.bias": torch.ones(64)}, f"{UP}.bias", "mlp_bias"),
    "scales": (
        lambda tensors: {**tensors, f"{UP}.weight_scale_inv": torch.ones(1)},
        f"{UP}.weight_scale_inv",
        "unquantised",
    ),
    "a layer too many": (
        lambda tensors: {**tensors, "model.layers.4.mlp.up_proj.weight": torch.ones(64, 32)},
        "model.layers.4.mlp.up_proj.weight",
        "fewer layers",
    ),
    "another shape": (lambda tensors: {**tensors, "lm_head.weight": torch.ones(300, 32)}, "[300, 32]", "config.json"),
    "two copies": (
        lambda tensors: {**tensors, "layers.0.mlp.up_proj.weight": torch.ones(64, 32)},
        "layers.0.mlp.up_proj.weight",
        "one of the two",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("verb", [("edit", "--plan"), ("score",), ("eval", "--suite", "quick")])
def test_what_the_files_lack_or_have_too_much_is_refused_before_it_changes_a_score(kind, verb, cli):
    change_tensors, named, hint = REFUSED[kind]
    base = retensor(models.save_checkpoint(Path("base")), change_tensors)
    options = () if verb[0] == "eval" else EDIT[4:] if verb[0] == "score" else EDIT
    error = refusal(cli(verb[0], base, *verb[1:], *options, *(() if verb[0] == "eval" else ("-o", "out")), "--json"))
    assert error["type"] == "ModelNotLoadable"
    assert named in error["message"]
    assert hint in error["hint"]
    assert not Path("out").exists()


def test_up_to_three_names_are_listed_and_the_others_counted(cli):
    names = [f"model.layers.{layer}.mlp.{part}_proj.weight" for layer in range(4) for part in ("up", "down")]
    base = retensor(models.save_checkpoint(Path("base")), without(*names))
    message = refusal(cli("edit", base, "--plan", *EDIT, "--json"))["message"]
    assert "lack 8 of the model's 39 parameters" in message
    assert message.count(".weight") == 3
    assert "and 5 more" in message


@pytest.mark.parametrize("tensor", ["v_head.summary.weight", "mtp.layers.0.up_proj.weight"])
def test_a_part_that_the_model_does_not_have_is_left_aside_and_said(tensor, cli):
    base = retensor(models.save_checkpoint(Path("base")), lambda tensors: {**tensors, tensor: torch.ones(1, 32)})
    code, _, err = cli("edit", base, *EDIT, "--no-eval", "-o", "out")
    assert code == 0
    assert tensor in err
    assert torch.equal(load_file("out/model.safetensors")[tensor], torch.ones(1, 32))


@pytest.mark.parametrize(
    "tensor", ["model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.0.attn.masked_bias", "position_ids"]
)
def test_tables_that_transformers_makes_anew_are_nothing_to_speak_of(tensor, cli):
    base = retensor(models.save_checkpoint(Path("base")), lambda tensors: {**tensors, tensor: torch.ones(4)})
    code, _, err = cli("edit", base, *EDIT, "--no-eval", "-o", "out")
    assert code == 0
    assert tensor not in err


def test_another_head_beside_tied_embeddings_is_the_head_as_transformers_takes_it(cli):
    def base(folder, tied):
        model = models.save_checkpoint(Path(folder), models.tiny_config(tie_word_embeddings=tied))
        return retensor(model, lambda tensors: {**tensors, "lm_head.weight": torch.eye(260, 32)})

    found = []
    for folder in (base("tied", True), base("apart", False)):
        assert cli("edit", folder, *EDIT, "--no-eval", "--as", "delta", "-o", f"{folder}-out")[0] == 0
        found.append(load_file(f"{folder}-out/spin_delta.safetensors"))
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())


@pytest.mark.parametrize("rule", ["paper", "published", "random"])
def test_importances_that_are_all_zero_select_nothing(rule, cli):
    base = retensor(
        models.save_checkpoint(Path("base")), lambda tensors: {**tensors, "lm_head.weight": torch.zeros(260, 32)}
    )
    ratios = ("--p", "1e-1", "--q", "1e-1") if rule == "published" else EDIT[:4]
    options = ("--samples", "8", "--rule", rule, "--no-eval", "-o", "out", "--json")
    error = refusal(cli("edit", base, *ratios, *options))
    assert error["type"] == "EmptySelection"
    assert "no weight has an importance above 0 for fairness, privacy and general" in error["message"]
    assert not Path("out").exists()


def test_weights_of_importance_zero_are_left_out_of_a_selection(cli):
    def silenced(tensors):
        name = "model.layers.0.mlp.up_proj.weight"
        return {**tensors, name: torch.cat((tensors[name][:2], torch.zeros(62, 32)))}

    base = retensor(models.save_checkpoint(Path("base")), silenced)
    assert (
        cli("edit", base, "--p", "1e-2", "--q", "5e-1", "--samples", "8", "--no-eval", "--as", "delta", "-o", "out")[0]
        == 0
    )
    touched = load_file("out/spin_delta.safetensors")["model.layers.0.mlp.up_proj.weight.indices"]
    assert len(touched) > 0
    assert int(touched.max()) < 2 * 32
