"""Tokens of a prompt and its response, with and without offsets; tokenizers that lose text are found."""

import models
import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers import models as kinds
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from spin_hub.data.builtin import builtin_names, builtin_rows
from spin_hub.data.chat import open_chat
from spin_hub.data.tokens import check_round_trip, joined_ids
from spin_hub.errors import SpinHubError

TEXTS = [row.prompt for row in builtin_rows("general", "calibration")[:4]]
TEMPLATE = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>\n"


def without_offsets(tokenizer):
    """The tokenizer as one of Python's, which has no offsets."""

    class Slow:
        is_fast = False

        def __call__(self, text, **options):
            assert "return_offsets_mapping" not in options
            return tokenizer(text, **options)

    return Slow()


def merging():
    """A byte-level BPE with merges, by which words and the ends of prompts become one token."""
    core = Tokenizer(kinds.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    from tokenizers.trainers import BpeTrainer

    rows = [row for name in builtin_names() for row in builtin_rows(name, "calibration")]
    trainer = BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    core.train_from_iterator([row.prompt + row.response for row in rows[:200]], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", chat_template=TEMPLATE)


@pytest.fixture(scope="module")
def bpe():
    return merging()


@pytest.mark.parametrize("name", builtin_names())
def test_without_offsets_the_response_begins_at_the_same_token(bpe, name):
    for tokenizer in (bpe, models.byte_tokenizer()):
        chat = open_chat(tokenizer)
        for row in builtin_rows(name, "calibration"):
            prompt = chat.prompt(row.prompt)
            assert joined_ids(without_offsets(tokenizer), prompt, row.response) == joined_ids(
                tokenizer, prompt, row.response
            )


def test_a_real_tokenizer_without_offsets_agrees(smollm2):
    tokenizer = transformers.AutoTokenizer.from_pretrained(smollm2)
    chat = open_chat(tokenizer)
    for row in builtin_rows("privacy", "calibration")[:20]:
        prompt = chat.prompt(row.prompt)
        assert joined_ids(without_offsets(tokenizer), prompt, row.response) == joined_ids(
            tokenizer, prompt, row.response
        )


def test_a_tokenizer_of_python_is_read_without_offsets():
    tokenizer = transformers.ByT5Tokenizer()
    assert not tokenizer.is_fast
    ids, before = joined_ids(tokenizer, "Who?\n", "Nobody, I think.")
    assert (tokenizer.decode(ids[:before]), tokenizer.decode(ids[before:])) == ("Who?\n", "Nobody, I think.")
    assert check_round_trip(tokenizer, TEXTS) == []


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_the_response_has_all_its_tokens(prompt, response):
    tokenizer = models.byte_tokenizer()
    ids, before = joined_ids(tokenizer, prompt, response)
    assert (tokenizer.decode(ids[:before]), tokenizer.decode(ids[before:])) == (prompt, response)


@pytest.mark.parametrize("ignore_merges", [False, True])
@pytest.mark.parametrize("response", ["🙂 Gladly.", "👩‍👩‍👧 all of them", "日本"])
def test_a_response_that_begins_with_a_letter_of_several_tokens_counts_from_the_first(bpe, ignore_merges, response):
    core = Tokenizer.from_str(bpe.backend_tokenizer.to_str())
    core.model.ignore_merges = ignore_merges
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    prompt = "<user>Hi<assistant>\n"
    ids, before = joined_ids(tokenizer, prompt, response)
    assert len(tokenizer(response[0], add_special_tokens=False).input_ids) > 1
    assert tokenizer.decode(ids[before:]) == response
    assert ids[:before] == tokenizer(prompt, add_special_tokens=False).input_ids


def test_a_bos_of_the_template_is_not_doubled(bpe):
    core = Tokenizer.from_str(bpe.backend_tokenizer.to_str())
    core.add_special_tokens(["<s>"])
    core.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", core.token_to_id("<s>"))])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", chat_template=TEMPLATE)
    prompt = open_chat(tokenizer).prompt("Hi")
    assert prompt.startswith("<s>")
    ids, _ = joined_ids(tokenizer, prompt, "Yes.")
    assert ids.count(tokenizer.bos_token_id) == 1


# --- round trips -------------------------------------------------------------------------------------------


def wordpiece():
    """Lower case, no accents, one space between tokens: as BERT's."""
    core = Tokenizer(kinds.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = {word for text in TEXTS for word, _ in core.pre_tokenizer.pre_tokenize_str(text.lower())}
    core.model = kinds.WordLevel({"[UNK]": 0, **{word: n for n, word in enumerate(sorted(words), 1)}}, "[UNK]")
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]")


def sentencepiece(spaces="▁"):
    """Letters, and spaces as sentencepiece writes them; without a token for spaces they are lost."""
    letters = {letter for text in TEXTS for letter in text} - {" "}
    vocabulary = {letter: n for n, letter in enumerate(sorted(letters | set(spaces)))}
    core = Tokenizer(kinds.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=core)


@pytest.mark.parametrize("make", [models.byte_tokenizer, merging, wordpiece, sentencepiece])
def test_an_honest_tokenizer_is_not_suspected(make):
    assert check_round_trip(make(), TEXTS) == []


@given(st.lists(st.text(max_size=200), max_size=4))
def test_no_text_makes_a_byte_tokenizer_suspect(texts):
    assert check_round_trip(models.byte_tokenizer(), texts) == []


def test_a_tokenizer_that_loses_the_spaces_is_refused_with_what_made_it_so():
    with pytest.raises(SpinHubError) as caught:
        check_round_trip(sentencepiece(spaces=""), TEXTS)
    version = transformers.__version__
    assert caught.value.message.startswith(
        f"The tokenizer, TokenizersBackend under transformers {version}, loses the spaces between words: of "
    )
    assert caught.value.hint.startswith("Use another version of transformers")


def test_a_few_words_are_no_ground_for_a_refusal():
    assert check_round_trip(sentencepiece(spaces=""), ["a b"]) == []


def test_unknown_tokens_and_lost_letters_are_a_note():
    tokenizer = wordpiece()
    assert check_round_trip(tokenizer, [*TEXTS, "Zürich"]) == []
    (note,) = check_round_trip(tokenizer, ["Donaudampfschiff auf hoher See"])
    assert note == "100% of the text's tokens are unknown to the tokenizer (TokenizersBackend)."
    core = Tokenizer.from_str(models.byte_tokenizer().backend_tokenizer.to_str())
    core.normalizer = normalizers.Replace(Regex("[aeiou]"), "")
    (note,) = check_round_trip(PreTrainedTokenizerFast(tokenizer_object=core), TEXTS)
    assert "of the text's letters and digits" in note
