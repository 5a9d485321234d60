import pytest

from spin_hub.model_cards.licences import derived_name, terms_of


@pytest.mark.parametrize(
    ("licence", "base", "name"),
    [
        ("llama3.1", "Meta-Llama-3.1-8B", "Llama-3.1-8B-spin"),
        ("llama3.1", "Llama-3.1-8B-Instruct", "Llama-3.1-8B-Instruct-spin"),
        ("llama3.1", "Hermes-8B", "Llama-Hermes-8B-spin"),
        ("llama3", "Meta-Llama-3-8B", "Llama-3-8B-spin"),
        ("llama3", "Smaug", "Llama-3-Smaug-spin"),
        ("llama2", "Meta-Thing", "Meta-Thing-spin"),
        ("gemma", "gemma-2-2b", "gemma-2-2b-spin"),
        ("apache-2.0", "Meta-Llama-Like", "Meta-Llama-Like-spin"),
        (None, "model", "model-spin"),
    ],
)
def test_names_begin_as_the_licence_asks(licence, base, name):
    assert derived_name(base, {"license": licence} if licence else {}, "-spin") == name


@pytest.mark.parametrize(
    ("card", "notice"),
    [
        ({"license": "llama3.2"}, "Llama 3.2 is licensed under the Llama 3.2 Community License"),
        ({"license": "llama3"}, "Meta Llama 3 is licensed under the Meta Llama 3 Community License"),
        ({"license": "llama2"}, "Llama 2 is licensed under the LLAMA 2 Community License"),
        ({"license": "other", "license_name": "llama-4"}, "Llama 4 is licensed under"),
        ({"license": "gemma"}, "Gemma is provided under and subject to the Gemma Terms of Use"),
    ],
)
def test_notices_name_the_licence(card, notice):
    terms = terms_of(card)
    assert terms is not None
    assert terms.notice.startswith(notice)
    assert terms.notice.endswith("\n")


@pytest.mark.parametrize("card", [{}, {"license": "mit"}, {"license": None}, {"license_name": "qwen"}])
def test_other_licences_ask_for_nothing_that_this_table_knows(card):
    assert terms_of(card) is None
