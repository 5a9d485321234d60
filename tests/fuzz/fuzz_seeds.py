"""Valid files to begin with, made by the library."""

import importlib.util
import io
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spin_hub.artifacts.delta_file import write_delta
from spin_hub.artifacts.ranking_file import RankingFile, write_ranking
from spin_hub.checkpoint.header import read_header
from spin_hub.core.delta import BaseRef, Delta, TensorEdit
from spin_hub.core.names import by_layer
from spin_hub.core.ranking import RankedTensor, Ranking, TopWeights
from spin_hub.data.rows import FORMS
from spin_hub.model_cards.heat_map import heat_map
from spin_hub.recipe import ScoringRecipe

TESTS = Path(__file__).parents[1]
VECTORS = TESTS / "vectors"
UP, DOWN = "model.layers.0.mlp.up_proj.weight", "model.layers.3.mlp.down_proj.weight"
PAYLOAD = "{{ cycler.__init__.__globals__.os.system('touch pwned') }}"
README = """---
license: apache-2.0
language:
- en
tags: [a, b]
date: 2026-01-02
model-index:
- name: tiny
  results:
  - task: {type: text-generation}
    dataset: {name: d, type: d}
    metrics: [{type: loss, value: 1.5}]
---

# Tiny

Text with | a table | and {{ braces }}.
"""
RECIPE = """preset = "paper"
p = 1e-3
q = 5e-4
samples = 8
seed = 3
output = "out"
chat-template = true
[set]
law = "law.csv"
[ratio]
law = 0.01
"""
APPLIED = {
    "delta": {"repo_id": "org/delta", "commit": "c" * 40, "sha256": "d" * 64},
    "base": {"name": "Other", "repo_id": "org/other", "commit": "c" * 40},
    "fit": {"weights": 9, "equal": 5, "changed": 3, "zero": 1, "changed_drift": 0.25},
    "lineage": {
        "chain": ["org/a", "org/b", "org/c"], "linked": True,
        "config_differences": [{"key": "vocab_size", "base": 8, "variant": 9}],
    },
}  # fmt: skip
SEARCH = {
    "why": "It gains most.", "picked": 1,
    "tried": [{
        "row": 1, "why": None, "ratios": {"general": 0.01, "fairness": 0.001, "privacy": 0.001}, "weights": 9,
        "kl": 0.01, "perplexity_ratio": 1.01, "gain": {"value": 0.1, "low": 0.05, "high": 0.15},
    }],
}  # fmt: skip
ADAPTER = {
    "type": "LORA", "peft_since": "0.21", "rank": 4, "modules": 3, "all_layers": True, "bytes": 999,
    "dtypes": ["float32"], "unmerged": {
        "largest": 0.1, "mean": 0.01, "logit": 9.5, "changed": 1, "tokens": 99, "dtype": "float32", "examples": 3,
        "texts": "builtin",
    },
}  # fmt: skip
SPECS = (
    "builtin:fairness",
    "beavertails:privacy-safe",
    "rows.csv#prompt=question,response=answer",
    "org/name@refs/pr/1:config/train",
    "~/file.jsonl",
    'rows.csv#prompt="Question, text"+input,response="a ""b"""',
    "https://huggingface.co/datasets/org/name",
    "org/name:default/train[:256]",
)
EXPRESSIONS = ("(fairness & privacy) - general", "a | b & c - d", "((a))", "a - b - c | (d & e)")


TEMPLATES = (
    "{{ bos_token }}{% for message in messages %}{{ '<' + message['role'] + '>' + message['content'] | trim }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}",
    "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}\n"
    "{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] %}"
    "{%- set messages = messages[1:] %}{%- else %}{%- set system = 'You are Tiny.' %}{%- endif %}"
    "Today: {{ date_string }}\n{{ system }}\n{%- for m in messages %}[{{ m.role }}]{{ m.content }}{%- endfor %}[a]",
    "{%- set ns = namespace(last=messages|length - 1, tools=false) %}{%- macro said(m) %}{{ m.role }}: {{ m.content }}"
    "{%- endmacro %}{%- for m in messages %}{{- said(m) }}{%- if loop.index0 == ns.last and add_generation_prompt %}\n"
    "assistant:\n{%- if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{%- else %}<think>\n{%- endif %}{%- endif %}{%- endfor %}",
    "{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}{{ raise_exception('role: ' ~ m.role) }}"
    "{% endif %}{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}"
    "{% generation %}{{ m | tojson }}{% endgeneration %}{% endfor %}{{ range(9) | random }}[THINK]",
)

HEAT_COUNTS = {"model.layers.0.mlp.up_proj.weight": 3, "model.layers.2.mlp.down_proj.weight": 40}


@cache
def seeds_of(target: str) -> tuple[bytes, ...]:
    """Valid inputs of a target."""
    deltas = (VECTORS / "delta.safetensors").read_bytes()
    made: dict[str, Any] = {
        "header": lambda: [(VECTORS / "base.safetensors").read_bytes(), deltas, ranking()],
        "delta": lambda: [deltas, delta()],
        "ranking": lambda: [ranking()],
        "index": lambda: [_dumped({"metadata": {}, "weight_map": dict.fromkeys(_of_the_shard(), shard) | more})
                          for shard, more in (("model-1.safetensors", {}),
                                              ("model-2.safetensors", {"absent": "model-1.safetensors"}))],
        "config": lambda: [_dumped({"model_type": "llama", **more})
                           for more in ({"quantization_config": {"quant_method": "fp8"}},
                                        {"transformers_weights": "model.safetensors", "architectures": ["A"]})],
        "adapter": lambda: [_dumped({"base_model_name_or_path": "org/base", "peft_type": "LORA"})],
        "record": records,
        "plots": records,
        "card": lambda: [README.encode(), *cards()],
        "front-matter": front_matters,
        "picture": lambda: [picture()],
        "recipe-toml": lambda: [RECIPE.encode()],
        "recipe-json": records,
        "csv": lambda: [b'prompt,response\n"a, b","c"\nd,"e ""f"""\n', b"question,answer\r\nx,None\r\ny,NA\r\n"],
        "jsonl": lambda: [rows(), conversations()],
        "chat-rows": chat_rows,
        "template": lambda: [text.encode() for text in TEMPLATES],
        "parquet": parquets,
        "spec": lambda: [text.encode() for text in SPECS],
        "expression": lambda: [text.encode() for text in EXPRESSIONS],
    }  # fmt: skip
    return tuple(made[target]())


def parquets() -> list[bytes]:
    """Tables of several types and compressions, one with the description that ``datasets`` writes."""
    texts = {"prompt": ["a", "b", "c"], "response": ["d", "e", "f"]}
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    features = {"info": {"features": {name: {"dtype": "string", "_type": "Value"} for name in texts}}}
    described = pa.table(texts).replace_schema_metadata({"huggingface": json.dumps(features)})
    picture = pa.array([{"bytes": None, "path": "/etc/hostname"}, {"bytes": b"x", "path": "http://[::1]/x"}] * 2)
    tables = [pa.table(texts), described, pa.table({"messages": [talk, talk]}),
              pa.table({name: pa.array(values).dictionary_encode() for name, values in texts.items()}),
              pa.table({"prompt": picture, "response": ["a", "b", "c", "d"]})]  # fmt: skip
    found = []
    for table, compression in zip(tables, ("none", "snappy", "zstd", "gzip", "none"), strict=True):
        sink = io.BytesIO()
        pq.write_table(table, sink, compression=compression)
        found.append(sink.getvalue())
    return found


def records() -> list[bytes]:
    """The records of all kinds of cards, measured and not, applied, searched and exported."""
    module = _rendering()
    made = [*module.CASES.values(), replace(module.CASES["evidence"], evaluation=measured(), applied=APPLIED)]
    made += [replace(module.CASES["model"], search=SEARCH), replace(module.CASES["bare"], kind="lora", adapter=ADAPTER)]
    return [_dumped(record.to_json()) for record in made]


def measured() -> dict[str, Any]:
    """An evaluation that says all that one may say."""
    change = {"gained": 1, "lost": 2, "both": 3, "neither": 4, "p_value": 0.5}
    layers = {state: {"value": [0.5, 0.25], "chance": [0.125, 0.1]} for state in ("base", "edited")}
    answers = {
        "new_tokens": 64, "chat_template": True, "judge": "lexical", "questions": {"fairness": 8},
        "paired": {"fairness": {"edited": change}},
        "caution": {"edited": [{"phrase": "as an AI", "before": 1.5, "after": 2.5}]},
    }  # fmt: skip
    more = {
        "answers": answers, "coupling": {"questions": 8, "layers": layers}, "against": "org/base",
        "wikitext": {"windows": 2, "window": 64, "text": "WikiText-2"},
        "capability": {"version": "0.4.9", "tasks": {"piqa": 8}},
    }  # fmt: skip
    known = _rendering().EVIDENCE
    return {**known, "about": {**known["about"], **more}}


def front_matters() -> list[bytes]:
    """READMEs as people have them, in every encoding that is read."""
    text = "---\nlicense:\tmit\nlanguage: [en, no]\nx: &x {a: 1e3, b: [0x1f, ~, 'no']}\nz: {<<: *x, c: *x}\n---\n# é\n"
    odd = "---\nlicense: mit\nlicense: gpl\nlicense_name: a: b\nlanguage:\n\t- en\n- no\nw: !t x\n---\n# x\n"
    return [README.encode(), odd.encode("cp1252"),
            *(text.encode(name) for name in ("utf-8", "utf-8-sig", "utf-16", "latin-1"))]  # fmt: skip


@cache
def picture() -> bytes:
    """The heat map of a small edit."""
    with TemporaryDirectory() as place:
        heat_map(by_layer(HEAT_COUNTS), "t", Path(place) / "a.png")
        return (Path(place) / "a.png").read_bytes()


def cards() -> list[bytes]:
    """The golden cards."""
    return [path.read_bytes() for path in sorted((TESTS / "model_cards" / "golden").glob("*.md"))]


@cache
def delta() -> bytes:
    """A delta whose method says all that a method may say, of a matrix, a scalar and a tensor of 2**31 elements."""
    edits = {}
    for name, shape, indices in ((UP, (4, 6), (3, 5)), ("scale", (), (0,)), (DOWN, (2**16, 2**15), (7, 2**31 - 1))):
        original = np.arange(2 * len(indices), dtype=np.uint8).reshape(-1, 2)
        edits[name] = TensorEdit(shape, "BF16", np.array(indices), original)
    origin = {"repo_id": "org/a", "commit": "c" * 40, "sha256": "d" * 64, "weights": 2, "sets": []}
    method = {
        "rule": "combined", "expression": "a & b", "p": 0.01, "q": 0.001, "ratios": {"general": 0.01, "law": 0.5},
        "parts": {"a": {"rule": "paper"}, "b": {"expression": "x - y"}}, "deltas": {"a": origin, "b": origin},
        "chosen_on": {"repo_id": "org/other", "name": "other", "commit": None},
    }  # fmt: skip
    base = BaseRef("org/base", "c" * 40, {"model.safetensors": "a" * 64, "sub/config.json": "b" * 64})
    with TemporaryDirectory() as folder:
        write_delta(Path(folder) / "delta", Delta(edits, base, method))
        return (Path(folder) / "delta").read_bytes()


@cache
def ranking() -> bytes:
    """A ranking of two matrices and two sets."""
    top = TopWeights(np.array([5, 1, 3]), np.array([3, 2, 1], np.float32), np.arange(6, dtype=np.uint8).reshape(3, 2))
    less = TopWeights(np.array([2, 5, 0]), np.array([3, 2, 1], np.float32), np.arange(6, dtype=np.uint8).reshape(3, 2))
    tops = {"fairness": top, "privacy": top, "general": less}
    tensors = {name: RankedTensor((4, 6), "BF16", tops) for name in (UP, DOWN)}
    module = _rendering()
    content = RankingFile(Ranking(tensors, 0.2), module.BASE, module.scoring(ScoringRecipe()))
    with TemporaryDirectory() as folder:
        write_ranking(Path(folder) / "ranking", content)
        return (Path(folder) / "ranking").read_bytes()


def rows() -> bytes:
    """A table in JSON lines."""
    return b"".join(_dumped({"prompt": text, "response": f"{text}!"}) + b"\n" for text in ("a", "bé", "c"))


def conversations() -> bytes:
    """A table of conversations."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    return b"".join(_dumped({"messages": turns}) + b"\n" for _ in range(3))


def chat_rows() -> list[bytes]:
    """One table of every form of data, and one of them all."""
    asked, answered = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
    call = {"id": "1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "c"}]
    talks = [
        {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}, answered]},
        {"messages": [asked, answered, asked, {"role": "assistant", "content": None, "tool_calls": [call]}]},
        {"messages": {"role": ["user", "model"], "content": ["a", "b"]}},
        {"prompt": [asked], "completion": [answered]},
    ]
    rows = [*(json.loads(form.example) for form in FORMS), *talks]
    return [*(_dumped([row] * 3) for row in rows), _dumped(rows)]


def tokenizer() -> Any:
    """The tokenizer that the tests have."""
    return _module("models.py").byte_tokenizer()


def _rendering() -> Any:
    """The records that the tests of cards have."""
    return _module("model_cards/test_render.py")


@cache
def _module(path: str) -> Any:
    """A module of the tests by its path."""
    spec = importlib.util.spec_from_file_location(f"{Path(path).stem}_for_fuzzing", TESTS / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _of_the_shard() -> list[str]:
    return list(read_header(VECTORS / "base.safetensors").spans)


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
