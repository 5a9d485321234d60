"""What a person and a program see: output forms, exit codes, sentences."""

import json
import re
import shutil
from pathlib import Path

import pytest
import typer.main
import typer.testing

from spin_hub.cli import app

RATIOS = ("--p", "1e-2", "--q", "1e-1", "--samples", "3")


@pytest.fixture(scope="module")
def edited(tiny, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "tiny-spin"
    assert app.run(["edit", str(tiny), *RATIOS, "-o", str(folder), "--quiet"]) == 0
    return folder


def error_of(result: tuple[int, str, str]) -> dict[str, str]:
    return json.loads(result[1])["error"]


def test_edit_prints_tables_that_fit_80_columns(cli, tiny):
    code, out, err = cli("edit", tiny, *RATIOS)
    assert code == 0
    assert "down_proj  gate_proj  up_proj" in out
    assert "spin-hub revert tiny-spin" in out
    assert max(map(len, out.splitlines())) <= 80
    assert "Selected" in err


def test_edit_json_is_one_object_with_what_was_promised(cli, tiny):
    code, out, _ = cli("edit", tiny, *RATIOS, "--json")
    data = json.loads(out)
    assert code == 0
    assert out.count("\n") == 1
    assert set(data) >= {"output", "kind", "weights", "tensors", "base", "repo_id", "commit", "url", "evaluation"}
    assert data["base"] == {"repo_id": None, "commit": None}
    assert data["output"] == "tiny-spin"
    assert data["weights"] > 0


def test_quiet_is_the_path_and_nothing_else(cli, tiny):
    assert cli("edit", tiny, *RATIOS, "--quiet", "--as", "delta", "-o", "mine") == (0, "mine\n", "")


def test_every_verb_has_json_and_quiet(cli, tiny, edited, tmp_path):
    ranking = tmp_path / "ranking.safetensors"
    commands = [
        ("score", tiny, "--keep", "1e-1", "--samples", "3", "-o", ranking),
        ("select", ranking, "--p", "1e-2", "--q", "1e-1", "-o", "delta"),
        ("apply", "delta", tiny, "-o", "model"),
        ("revert", "model", "-o", "back"),
        ("inspect", ranking),
        ("inspect", "delta"),
        ("inspect", edited),
        ("card", "delta"),
    ]
    for command in commands:
        code, out, _ = cli(*command, "--json")
        assert code == 0, command
        assert isinstance(json.loads(out), dict)
        code, out, err = cli(*command, "--quiet", *(["--overwrite"] if "-o" in command else []))
        assert (code, err) == (0, ""), command
        assert Path(out.strip()).exists()


def test_inspect_shows_where_the_weights_are(cli, edited):
    code, out, _ = cli("inspect", edited)
    assert code == 0
    assert "layer  down_proj" in out
    assert "(fairness & privacy) - general" in out
    assert max(map(len, out.splitlines())) <= 80


def test_env_never_shows_the_token(cli, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret")
    for form in ((), ("--json",)):
        code, out, err = cli("env", *form)
        assert code == 0
        assert "secret" not in out + err
        assert "present" in out


def test_show_examples_marks_what_counts(cli, tiny):
    code, out, err = cli("edit", tiny, *RATIOS, "--show-examples", "2", "--chat-template", "--json")
    assert code == 0
    assert json.loads(out)["weights"] > 0
    assert err.count("example 1:") == err.count("example 2:") == 3
    assert "<user>" in err.replace("\n", "")
    assert "[" in err


def test_apply_on_an_edited_model_is_a_note_and_success(cli, edited):
    code, out, err = cli("apply", edited, edited, "-o", "again")
    assert (code, out) == (0, "")
    assert "already holds this edit" in err
    assert not Path("again").exists()
    code, out, _ = cli("apply", edited, edited, "--json")
    assert json.loads(out)["output"] is None


def test_version(cli):
    assert cli("--version")[:2] == (0, "spin-hub 0.1.0\n")


MANY = {"edit": 48, "score": 24, "sweep": 32, "eval": 21}


@pytest.mark.parametrize("verb", MANY)
def test_help_begins_with_what_most_need_and_help_all_has_the_rest(cli, verb):
    short, full = (cli(verb, option)[1] for option in ("--help", "--help-all"))
    rows = [line for line in short.splitlines() if re.match(r"│ +(\* +)?--", line)]
    assert len(rows) <= 12
    assert "--help-all" in short and "Examples" in short and "--device" not in short
    assert len(set(re.findall(r"--[a-z-]+", full))) >= MANY[verb] and "--device" in full
    # Neither changes what the other shows.
    assert cli(verb, "--help")[1] == short


def test_each_command_is_listed_with_examples(cli):
    for name, command in typer.main.get_command(app.app).commands.items():
        assert f"spin-hub {name}" in command.callback.__doc__.split("Examples:")[1]


def test_the_typer_app_itself_works(tiny):
    result = typer.testing.CliRunner().invoke(app.app, ["edit", str(tiny), *RATIOS, "--quiet"])
    assert (result.exit_code, result.stdout) == (0, "tiny-spin\n")


# --- exit 2: the command line itself is wrong --------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--nope",), "--nope"),
        (("--p", "0"), "strictly between 0 and 1"),
        (("--q", "1"), "strictly between 0 and 1"),
        (("--q", "-3"), "strictly between 0 and 1"),
        (("--q", "nan"), "strictly between 0 and 1"),
        (("--q", "much"), "valid "),
        (("--samples", "0"), "samples must be at least 1"),
        (("--seed", "-1"), "seed must not be negative"),
        (("--rule", "mine"), "mine"),
        (("--device", "tpu"), "tpu"),
        (("--select", "fairness &"), "position"),
        (("--select", "fairness & kindness"), "kindness"),
        (("--select", "__import__('os')"), "position"),
        (("--ratio", "kindness=1e-2"), "kindness"),
        (("--ratio", "privacy=much"), "not a number"),
        (("--ratio", "privacy"), "NAME=VALUE"),
        (("--set", "mine"), "NAME=VALUE"),
        (("--set", "mine=mine.csv"), "does not read it"),
        (("--set", "privacy=a.csv", "--privacy", "b.csv"), "twice"),
        (("--set", "a b=mine.csv", "--select", "privacy"), "does not read it"),
        (("--rule", "published", "--p", "1e-3", "--q", "1e-2"), "p = q"),
        (("--rule", "published", "--tokenization", "exact"), "contradicts"),
        (("--rule", "published", "--accumulate", "float32"), "contradicts"),
        (("--rule", "published", "--chat-template"), "contradicts"),
        (("--tokenization", "published", "--chat-template"), "chat template"),
        (("--rule", "random", "--select", "privacy"), "cannot be combined"),
        (("--as", "gguf"), "gguf"),
    ],
)
def test_a_wrong_command_line_is_exit_2(cli, tiny, own_folder, options, said):
    result = cli("edit", tiny, *options, "--json")
    assert result[0] == 2
    error = error_of(result)
    assert said in error["message"]
    assert error["hint"]
    code, out, err = cli("edit", tiny, *options)
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert not list(own_folder.iterdir())


def test_a_missing_argument_and_an_unknown_command_are_exit_2(cli):
    assert cli("edit")[0] == cli("destroy")[0] == 2
    assert error_of(cli("edit", "--json"))["type"] == "UsageError"


# --- exit 1: everything found later ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("--p", "1e-9", "--q", "1e-9"), "RatioTooSmall"),
        ((*RATIOS, "--privacy", "nowhere.csv"), "SourceError"),
        ((*RATIOS, "--privacy", "builtin:kindness"), "SourceError"),
        (("--p", "1e-2", "--q", "1e-1", "--samples", "500"), "TooFewRows"),
        ((*RATIOS, "--target", "nothing*"), "NoTarget"),
        ((*RATIOS, "--max-length", "3"), "BadRow"),
    ],
)
def test_what_is_found_later_is_exit_1(cli, tiny, own_folder, options, kind):
    result = cli("edit", tiny, *options, "--json")
    assert result[0] == 1
    assert error_of(result)["type"] == kind
    code, out, err = cli("edit", tiny, *options)
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert err.count("Error: ") == err.count("Hint: ") == 1
    assert not list(own_folder.iterdir())


def test_missing_things_are_sentences(cli, tiny, tmp_path):
    for command in (
        ("edit", "./missing"),
        ("apply", "missing.safetensors", tiny),
        ("revert", "missing"),
        ("inspect", "missing"),
        ("card", "missing"),
        ("select", "missing.safetensors", "--p", "1e-2", "--q", "1e-2"),
        ("revert", tiny),
        ("inspect", tiny / "model.safetensors"),
        ("inspect", tiny / "config.json"),
    ):
        code, _, err = cli(*command)
        assert code == 1, command
        assert err.startswith("Error: "), err


def test_a_second_edit_into_the_same_place_needs_overwrite(cli, tiny):
    assert cli("edit", tiny, *RATIOS)[0] == 0
    assert error_of(cli("edit", tiny, *RATIOS, "--json"))["type"] == "OutputExists"
    assert cli("edit", tiny, *RATIOS, "--overwrite")[0] == 0


def test_an_interrupt_is_exit_130_and_leaves_only_finished_layers(cli, tiny, own_folder, monkeypatch):
    import spin_hub.exports.native as exported

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(exported, "write_model_folder", interrupt)
    code, out, err = cli("edit", tiny, *RATIOS)
    assert (code, out) == (130, "")
    assert "Interrupted" in err
    assert error_of(cli("edit", tiny, *RATIOS, "--json"))["type"] == "Interrupted"
    assert [path.name for path in own_folder.iterdir()] == ["tiny-spin.partial"]


def test_a_full_disk_is_a_sentence(cli, tiny, own_folder, monkeypatch):
    import errno

    import spin_hub.checkpoint.patch as patch

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "model.safetensors")

    monkeypatch.setattr(patch, "copy_file", full)
    result = cli("edit", tiny, *RATIOS)
    assert result[0] == 1
    assert "No space is left" in result[2]
    assert [path.name for path in own_folder.iterdir()] == ["tiny-spin.partial"]


def test_control_characters_of_a_strangers_file_do_not_reach_the_terminal(cli, tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "model")
    (folder / "config.json").write_text('{"model_type": "\\u001b[31mred", "architectures": ["\\u001b[2J"]}')
    code, _, err = cli("edit", folder, *RATIOS)
    assert code == 1
    assert "\x1b" not in err


@pytest.mark.parametrize(
    "words",
    [
        ("verify",), ("inspect",), ("card",), ("push",), ("reproduce",), ("export", "--as", "lora"),
        ("apply", "nowhere"), ("diff", "nowhere"), ("combine", "nowhere", "--how", "or"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_each_verb_words_a_model_without_an_edit_the_same(cli, tiny, words):
    verb, *others = words
    code, out, _ = cli(verb, tiny, *others, "--json")
    assert code == 1
    assert error_of((code, out, "")) == {
        "type": "DeltaNotFound",
        "message": f"There is no delta at {tiny}.",
        "hint": "Give a folder or a file that spin-hub wrote.",
    }
