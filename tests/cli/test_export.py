"""export as people and programs see it."""

import json

import pytest
from making import delta_file


@pytest.fixture
def delta(tiny, tmp_path):
    return delta_file(tiny, tmp_path / "delta.safetensors")


def test_people_see_rank_size_and_how_exact_it_is(cli, delta, tiny):
    code, out, err = cli("export", delta, "--as", "lora", "--base", tiny)
    assert code == 0
    assert "LORA of rank" in err
    assert "off by" in out
    assert "tiny-lora" in out
    assert max(map(len, out.splitlines())) <= 80


def test_programs_get_one_object_and_quiet_the_path_alone(cli, delta, tiny):
    code, out, _ = cli("export", delta, "--as", "peft", "--base", tiny, "--json")
    data = json.loads(out)
    assert (code, data["kind"], data["output"]) == (0, "peft", "tiny-peft")
    assert set(data["adapter"]) >= {"type", "rank", "bytes", "modules", "unmerged"}
    assert cli("export", delta, "--as", "peft", "--base", tiny, "--quiet", "-o", "mine") == (0, "mine\n", "")


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        ((), 2, "UsageError"),
        (("--as", "lora", "--peft-type", "shira"), 2, "UsageError"),
        (("--as", "peft", "--base", "nowhere"), 1, "ModelNotFound"),
        (("--as", "peft"), 2, "UsageError"),
    ],
)
def test_what_is_wrong_is_an_error_object(arguments, code, kind, cli, delta):
    found, out, _ = cli("export", delta, *arguments, "--json")
    assert (found, json.loads(out)["error"]["type"]) == (code, kind)
