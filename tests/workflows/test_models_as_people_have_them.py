"""Model folders as people have them: other names, parts and types; each works, or is refused before the work."""

import json
from pathlib import Path

import models
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    BertConfig,
    BloomConfig,
    GPT2Config,
    GPTJConfig,
    GPTNeoConfig,
    OPTConfig,
    RobertaConfig,
)

from spin_hub.checkpoint.index import read_index
from spin_hub.models.limits import input_limits
from spin_hub.models.load import load_skeleton

EDIT = ("--p", "1e-2", "--q", "2e-1", "--samples", "8")
SIZES = {"vocab_size": 260, "bos_token_id": 256, "eos_token_id": 257}
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


def change(folder: Path, **settings: object) -> Path:
    """Changes entries of a folder's config.json; None removes one."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text("utf-8")), **settings}
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}), "utf-8")
    return folder


def retensor(folder: Path, change_tensors) -> Path:
    """Changes the tensors of a folder in one file."""
    path = folder / "model.safetensors"
    save_file(change_tensors(load_file(path)), path, {"format": "pt"})
    return folder


def inner(folder: Path, kind: str) -> Path:
    """A checkpoint saved from the model without its head, as the Hub's GPT-2 is."""
    config, architecture, _ = INNER[kind]
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    models.byte_tokenizer().save_pretrained(folder)
    return change(folder, architectures=[architecture])


def renamed(folder: Path, prefix: str) -> Path:
    return retensor(folder, lambda tensors: {f"{prefix}{name}": tensor for name, tensor in tensors.items()})


def refusal(result: tuple[int, str, str]) -> dict[str, str]:
    """The error of a command that was run with ``--json`` and ended with exit code 1."""
    code, out, err = result
    assert code == 1, err
    return json.loads(out)["error"]


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
@pytest.mark.parametrize("verb", [("edit", "--plan"), ("edit", "--no-eval"), ("score",), ("eval", "--suite", "quick")])
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
def test_a_part_that_the_model_does_not_have_is_left_aside_and_said(tensor, tiny, cli):
    base = retensor(models.save_checkpoint(Path("base")), lambda tensors: {**tensors, tensor: torch.ones(1, 32)})
    code, _, err = cli("edit", base, *EDIT, "--no-eval", "-o", "out")
    assert code == 0
    assert tensor in err
    assert cli("edit", tiny, *EDIT, "--no-eval", "-o", "plain")[0] == 0
    edited, plain = load_file("out/model.safetensors"), load_file("plain/model.safetensors")
    assert torch.equal(edited.pop(tensor), torch.ones(1, 32))
    assert all(torch.equal(value, plain[name]) for name, value in edited.items())


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
        "roberta": lambda: RobertaConfig(is_decoder=True, max_position_embeddings=positions + 1, **common, **small),
    }[kind]()  # fmt: skip
    return models.save_checkpoint(folder, config)


def rows(path, *lengths):
    lines = [json.dumps({"prompt": f"{number:02}", "response": "x" * length}) for number, length in enumerate(lengths)]
    path.write_text("\n".join(lines), "utf-8")
    return path


TABLED = ("gpt2", "gpt_neo", "gptj", "opt", "bert", "roberta")
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


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
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


def test_tokens_beyond_the_embedding_are_counted(cli):
    base = models.save_checkpoint(
        Path("base"), models.tiny_config(vocab_size=100, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    )
    error = refusal(cli("edit", base, "--plan", *EDIT, "--json"))
    assert "embedding has 100 rows" in error["message"]


LOOKING = """
import torch
from transformers import LlamaForCausalLM
class LookingForCausalLM(LlamaForCausalLM):
    def forward(self, input_ids=None, **named):
        mask = torch.zeros(1, 1, input_ids.shape[1], input_ids.shape[1], dtype=self.dtype)
        return super().forward(input_ids=input_ids, attention_mask=mask, **named)
"""


def looking_ahead(folder, kind):
    if kind == "bert":
        base = models.save_checkpoint(folder, BertConfig(**SIZES, hidden_size=32, num_hidden_layers=2,
            num_attention_heads=4, intermediate_size=64))  # fmt: skip
        return change(base, architectures=None)
    base = models.save_checkpoint(folder)
    (base / "looking.py").write_text(LOOKING, "utf-8")
    return change(base, auto_map={"AutoModelForCausalLM": "looking.LookingForCausalLM"})


@pytest.mark.parametrize("engine", ["auto", "whole", "layerwise"])
@pytest.mark.parametrize("kind", ["bert", "own code"])
def test_a_model_that_looks_ahead_is_refused_in_every_engine(kind, engine, cli):
    base = looking_ahead(Path("base"), kind)
    options = ("--engine", engine, "--trust-remote-code", "--no-eval", "-o", "out", "--json")
    error = refusal(cli("edit", base, *EDIT, "--max-length", "400", *options))
    assert error["type"] == "NotCausal"
    assert "a later token changes" in error["message"]
    assert not Path("out").exists()


def test_a_model_that_looks_ahead_is_not_measured(cli):
    base = looking_ahead(Path("base"), "bert")
    assert refusal(cli("eval", base, "--suite", "quick", "--json"))["type"] == "NotCausal"


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


WITHOUT_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def bare(folder, **files):
    """A folder without its tokenizer, and with other files in its place."""
    for name in WITHOUT_TOKENIZER:
        (folder / name).unlink(missing_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, "utf-8")
    return folder


OTHER_CODE = {"AutoConfig": "org/other--c.XConfig", "AutoModelForCausalLM": "org/other--m.XForCausalLM"}
CAUSES = {
    "a type of tomorrow": (
        lambda base: change(base, model_type="llama9", architectures=["Llama9ForCausalLM"]),
        "does not know the model type llama9",
        "pip install -U transformers",
    ),
    "no type": (lambda base: change(base, model_type=None), "no model_type", "model_type"),
    "another head": (
        lambda base: change(base, architectures=["LlamaForSequenceClassification"]),
        "LlamaForSequenceClassification",
        "decoder models",
    ),
    "code elsewhere": (
        lambda base: change(base, model_type="x", auto_map=OTHER_CODE),
        "from another repo, org/other",
        "auto_map",
    ),
    "no tokenizer": (bare, "has no tokenizer", "tokenizer.json"),
    "pieces alone": (
        lambda base: bare(base, tokenizer__model="\n"),
        "SentencePiece",
        "pip install sentencepiece protobuf",
    ),
    "tekken": (lambda base: bare(base, tekken__json="{}"), "only tekken.json", "mistral-common"),
}


@pytest.mark.parametrize("verb", [("--plan",), ("--no-eval", "-o", "out"), ("--trust-remote-code", "-o", "out")])
@pytest.mark.parametrize("cause", CAUSES)
def test_the_true_reason_and_the_way_on(cause, verb, cli, monkeypatch):
    make, said, hint = CAUSES[cause]
    monkeypatch.setattr("spin_hub.models.causes.find_spec", lambda name: None)
    error = refusal(cli("edit", make(models.save_checkpoint(Path("base"))), *EDIT, *verb, "--json"))
    assert said in error["message"]
    assert hint in error["hint"]
    assert "--trust-remote-code" not in error["hint"] or "--trust-remote-code" not in verb
    assert not Path("out").exists()


@pytest.mark.parametrize("names", [["FSDPLlamaForCausalLM"], ["LlamaForCausalLM", "LlamaModel"], None])
def test_a_class_of_another_name_is_taken_by_its_type(names, tiny, cli):
    base = change(models.save_checkpoint(Path("base")), architectures=names)
    for folder in (base, tiny):
        assert cli("edit", folder, *EDIT, "--no-eval", "--as", "delta", "-o", f"out-{folder.name}")[0] == 0
    one, two = (load_file(f"out-{name}/spin_delta.safetensors") for name in ("base", "tiny"))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


@pytest.mark.parametrize("module", ["up_proj", "q_proj"])
def test_an_adapter_in_the_folder_changes_no_score(module, tiny, cli):
    base = models.save_checkpoint(Path("base"))
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "target_modules": [module]}
    (base / "adapter_config.json").write_text(json.dumps(settings), "utf-8")
    part = "mlp" if module == "up_proj" else "self_attn"
    names = [f"base_model.model.model.layers.{layer}.{part}.{module}.lora_" for layer in range(4)]
    factors = {f"{name}A.weight": torch.ones(4, 32) for name in names}
    factors |= {f"{name}B.weight": torch.ones(64 if part == "mlp" else 32, 4) for name in names}
    save_file(factors, base / "adapter_model.safetensors")
    for folder in (base, tiny):
        code, _, err = cli("edit", folder, *EDIT, "--no-eval", "--as", "delta", "-o", f"out-{folder.name}")
        assert code == 0, err
    one, two = (load_file(f"out-{name}/spin_delta.safetensors") for name in ("base", "tiny"))
    assert one.keys() == two.keys()
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_answers_that_would_outgrow_the_positions_are_refused(cli):
    base = tabled(Path("base"), "gpt2", 64)
    error = refusal(cli("eval", base, "--suite", "answers", "--limit", "2", "--json"))
    assert "the model's 64 positions" in error["message"]
    assert "--new-tokens" in error["hint"]
