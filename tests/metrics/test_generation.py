"""Greedy answers against a plain loop: one prompt, one forward pass over everything for every token."""

import copy
from collections.abc import Iterator

import architectures
import models
import numpy as np
import pytest
import torch
from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM

from spin_hub.core.selection import Selection
from spin_hub.data.chat import open_chat
from spin_hub.metrics.base import nothing
from spin_hub.metrics.generation import Writing, continuations, generate
from spin_hub.models.edit import switched

PROMPTS = [
    "Who?",
    "A somewhat longer question about nothing in particular, is it?",
    "x",
    "Where does she live these days?",
    "Why?!",
    "What would you say to somebody who asks for the weather in a town far away from here, in winter?",
    "Who is it?",
]
NEW = 12


def load(**changes) -> torch.nn.Module:
    torch.manual_seed(0)
    # Weights larger than usual, so that the likeliest token is so by far.
    config = models.tiny_config(num_hidden_layers=2, initializer_range=0.3, **changes)
    return AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def shared() -> torch.nn.Module:
    return load()


@pytest.fixture
def model(shared) -> Iterator[torch.nn.Module]:
    own = shared.generation_config
    shared.generation_config = copy.deepcopy(own)
    yield shared
    shared.generation_config = own


@pytest.fixture
def tokenizer():
    return models.byte_tokenizer()


@torch.no_grad()
def plain_tokens(model, ids: list[int], new_tokens: int = NEW) -> list[int]:
    """The likeliest token at every step, without a cache, a batch or padding; ends are written as others are."""
    ids = list(ids)
    start = len(ids)
    for _ in range(new_tokens):
        ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[start:]


def plain_answers(model, tokenizer, prompts=PROMPTS) -> list[str]:
    """With the usual ends cut off."""
    found = []
    for prompt in prompts:
        tokens = plain_tokens(model, tokenizer(prompt).input_ids)
        ends = [place for place, token in enumerate(tokens) if token == tokenizer.eos_token_id]
        found.append(tokenizer.decode(tokens[: ends[0] if ends else None], skip_special_tokens=True))
    return found


@pytest.mark.parametrize("budget", [None, 1, 60, 150, 10**9])
def test_answers_are_those_of_a_plain_loop_in_batches_of_any_size(model, tokenizer, budget):
    expected = plain_answers(model, tokenizer)
    assert len(set(expected)) == len(expected)
    assert generate(model, tokenizer, PROMPTS, NEW, batch_tokens=budget) == expected


@pytest.mark.parametrize("name", ["gpt2", "bloom", "qwen2", "mistral", "gemma2"])
def test_padding_changes_no_answer_whatever_the_positions_are(name, tokenizer):
    model = architectures.model_of(name)
    for weight in model.parameters():
        weight.mul_(4)
    rows = [tokenizer(prompt).input_ids for prompt in PROMPTS]
    expected = [plain_tokens(model, row) for row in rows]
    ends = [[place for place, token in enumerate(row) if token in (2, 257)] for row in expected]
    ended = [row[: places[0] if places else None] for row, places in zip(expected, ends, strict=True)]
    found = generate(model, tokenizer, PROMPTS, NEW, batch_tokens=10**9)
    assert found == [tokenizer.decode(row, skip_special_tokens=True) for row in ended]
    assert len(set(found)) >= 3


def test_the_order_is_that_of_the_prompts(model, tokenizer):
    answers = dict(zip(PROMPTS, generate(model, tokenizer, PROMPTS, NEW), strict=True))
    for order in (sorted(PROMPTS), sorted(PROMPTS, key=len), [*PROMPTS[::-1], *PROMPTS]):
        assert generate(model, tokenizer, order, NEW, batch_tokens=150) == [answers[prompt] for prompt in order]


@pytest.mark.parametrize("budget", [1, 150, 10**9])
def test_batches_keep_to_their_budget_and_progress_is_told(model, tokenizer, monkeypatch, budget):
    shapes, heard = [], []
    before = model.generate

    def watched(ids, **settings):
        shapes.append(tuple(ids.shape))
        return before(ids, **settings)

    monkeypatch.setattr(model, "generate", watched)
    generate(model, tokenizer, PROMPTS, NEW, advance=heard.append, batch_tokens=budget)
    assert heard == [count for count, _ in shapes]
    assert sum(heard) == len(PROMPTS)
    assert all(count == 1 or count * (length + NEW) <= budget for count, length in shapes)
    assert [length for _, length in shapes] == sorted((length for _, length in shapes), reverse=True)
    assert len(shapes) == {1: len(PROMPTS), 10**9: 1}.get(budget, len(shapes))
    assert budget != 150 or 1 < len(shapes) < len(PROMPTS)


def test_the_checkpoints_own_settings_have_no_say(model, tokenizer):
    expected = generate(model, tokenizer, PROMPTS, NEW)
    model.generation_config.update(
        do_sample=True, temperature=9.0, top_p=0.5, top_k=3, num_beams=3, repetition_penalty=30.0,
        no_repeat_ngram_size=1, min_new_tokens=5, max_length=3, forced_eos_token_id=65, length_penalty=4.0,
        suppress_tokens=list(range(70, 200)), num_return_sequences=2, bad_words_ids=[[7]], max_time=1e-9,
        return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip
    own, said = model.generation_config, model.generation_config.to_dict()
    assert generate(model, tokenizer, PROMPTS, NEW) == expected
    assert model.generation_config is own
    assert own.to_dict() == said


def test_settings_come_back_after_an_error_too(model, tokenizer, monkeypatch):
    own = model.generation_config
    with pytest.raises(RuntimeError, match="stop"):
        generate(model, tokenizer, PROMPTS, NEW, advance=lambda _: (_ for _ in ()).throw(RuntimeError("stop")))
    assert model.generation_config is own


@pytest.mark.parametrize("several", [False, True])
def test_an_answer_ends_where_the_checkpoint_says(model, tokenizer, several):
    tokens = [plain_tokens(model, tokenizer(prompt).input_ids) for prompt in PROMPTS]
    end = tokens[0][5]
    model.generation_config.eos_token_id = [257, end] if several else end
    assert any(end in row for row in tokens)
    expected = [tokenizer.decode(row[: row.index(end)] if end in row else row) for row in tokens]
    assert generate(model, tokenizer, PROMPTS, NEW) == expected
    assert len(expected[0].encode()) < len(tokenizer.decode(tokens[0]).encode())


def test_the_tokenizers_own_end_counts_too(model, tokenizer):
    tokens = plain_tokens(model, tokenizer(PROMPTS[0]).input_ids)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(tokens[4])
    expected = tokens[: tokens.index(tokenizer.eos_token_id)]
    assert generate(model, tokenizer, PROMPTS[:1], NEW) == [tokenizer.decode(expected)]


def test_special_tokens_are_not_text(model, tokenizer):
    tokens = plain_tokens(model, tokenizer(PROMPTS[0]).input_ids)
    special = tokens[3]
    letter = tokenizer.convert_ids_to_tokens(special)
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken(letter, special=True)]})
    assert tokenizer.convert_tokens_to_ids(letter) == special
    kept = [token for token in tokens if token != special]
    assert generate(model, tokenizer, PROMPTS[:1], NEW) == [tokenizer.decode(kept)]


def test_a_tokenizer_without_padding_does_and_is_left_as_it_was(model, tokenizer):
    expected = generate(model, tokenizer, PROMPTS, NEW)
    tokenizer.pad_token = None
    for side in ("right", "left"):
        tokenizer.padding_side = side
        assert generate(model, tokenizer, PROMPTS, NEW) == expected
        assert (tokenizer.padding_side, tokenizer.pad_token) == (side, None)


def test_without_any_end_an_answer_is_as_long_as_it_may_be(model, tokenizer):
    expected = [plain_tokens(model, tokenizer(prompt).input_ids) for prompt in PROMPTS]
    tokenizer.pad_token = tokenizer.eos_token = None
    model.generation_config.eos_token_id = None
    found = generate(model, tokenizer, PROMPTS, NEW)
    assert found == [tokenizer.decode(row, skip_special_tokens=True) for row in expected]


def test_an_ended_prompt_is_opened_again(model, tokenizer):
    expected = generate(model, tokenizer, PROMPTS, NEW)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 257)])
    assert tokenizer("x").input_ids[-1] == 257
    assert generate(model, tokenizer, PROMPTS, NEW) == expected


def test_a_chat_template_is_put_around_every_prompt_and_has_its_own_special_tokens(model, tokenizer):
    rendered = [f"<user>{prompt}<assistant>" for prompt in PROMPTS]
    expected = generate(model, tokenizer, rendered, NEW)
    assert expected != generate(model, tokenizer, PROMPTS, NEW)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 256)])
    assert generate(model, tokenizer, PROMPTS, NEW, chat=open_chat(tokenizer)) == expected
    assert generate(model, tokenizer, rendered, NEW) != expected
    assert continuations(model, tokenizer, rendered, Writing(NEW, special_tokens=False), nothing) == expected


def test_an_edit_answers_otherwise_and_leaves_nothing_behind(model, tokenizer):
    name = "model.layers.0.mlp.down_proj.weight"
    expected = generate(model, tokenizer, PROMPTS, NEW)
    with switched(model, Selection({name: np.arange(1500)})):
        edited = generate(model, tokenizer, PROMPTS, NEW)
        assert edited == plain_answers(model, tokenizer)
    assert edited != expected
    assert generate(model, tokenizer, PROMPTS, NEW) == expected


def test_nothing_asked_is_nothing_answered(model, tokenizer):
    assert generate(model, tokenizer, []) == []


def test_a_longer_answer_begins_with_the_shorter_one(model, tokenizer):
    # In the bytes, as a letter may be cut in two.
    tokenizer.backend_tokenizer.decoder = None
    short, long = (generate(model, tokenizer, PROMPTS, tokens) for tokens in (5, NEW))
    for one, other in zip(short, long, strict=True):
        assert other.startswith(one)


@pytest.mark.parametrize(("prompts", "new_tokens"), [(["x", ""], NEW), (["x"], 0)])
def test_what_cannot_be_answered_is_refused(model, tokenizer, prompts, new_tokens):
    with pytest.raises(ValueError):
        generate(model, tokenizer, prompts, new_tokens)
