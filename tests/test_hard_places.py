"""Full disks, places that may not be written, strange names, and two processes on one output."""

import json
import os
import resource
import shutil
import signal
import stat

import killing
import models
import pytest
import torch

from spin_hub.cli import app as cli

pytestmark = pytest.mark.moderate

RATIOS = ("--p", "5e-2", "--q", "1e-1", "--samples", "2", "--no-eval")
STRANGE = ["two words", 'it\'s "quoted"', "größe 模型 модель", "-dash", "a#b%20c", "new\nline", "[bold]x[/bold]"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A base, its delta and its edited model."""
    folder = tmp_path_factory.mktemp("made")
    models.save_checkpoint(folder / "base", models.tiny_config(tie_word_embeddings=True), torch.bfloat16, "40KB")
    for more in (("--as", "delta", "-o", folder / "delta"), ("-o", folder / "edited")):
        assert cli.run(["edit", str(folder / "base"), *RATIOS, *map(str, more), "--quiet"]) == 0
    return folder


def commands(made, out):
    return {
        "edit": ["edit", str(made / "base"), *RATIOS, "-o", out],
        "score": ["score", str(made / "base"), "--samples", "2", "--keep", "1e-2", "-o", f"{out}.safetensors"],
        "apply": ["apply", str(made / "delta"), str(made / "base"), "-o", out],
        "revert": ["revert", str(made / "edited"), "-o", out],
        "export": ["export", str(made / "delta"), "--as", "peft", "--base", str(made / "base"), "-o", out],
    }


def error_of(capsys):
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["message"].endswith(".")
    return error


@pytest.mark.parametrize("name", ["edit", "score", "apply", "revert"])
def test_a_disk_that_fills_up_leaves_nothing(made, own_folder, capsys, name):
    command = commands(made, "out")[name]
    # Every file of the output is larger; what is written beyond the limit fails as on a full disk.
    previous = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, previous[1]))
    try:
        code = cli.run([*command, "--json"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, previous)
        signal.signal(signal.SIGXFSZ, handler)
    assert code == 1
    assert error_of(capsys)["message"]
    assert [path.name for path in own_folder.iterdir() if not path.name.endswith(".partial")] == []
    shutil.rmtree(own_folder / "out.partial", ignore_errors=True)
    assert cli.run([*command, "--quiet"]) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("name", ["edit", "score", "apply", "revert", "export"])
def test_a_folder_that_may_not_be_written_is_refused_before_any_work(made, own_folder, capsys, name):
    locked = own_folder / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert cli.run([*commands(made, str(locked / "out"))[name], "--json"]) == 1
        assert "may be written" in error_of(capsys)["message"]
    finally:
        locked.chmod(stat.S_IRWXU)


@pytest.mark.parametrize("name", STRANGE)
def test_folders_of_any_name(made, own_folder, capsys, name):
    base = shutil.copytree(made / "base", own_folder / f"base {name}")
    out = own_folder / name
    assert cli.run(["edit", str(base), *RATIOS, "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["output"] == str(out)
    assert cli.run(["inspect", str(out)]) == 0
    assert cli.run(["revert", str(out), "-o", str(own_folder / "back"), "--quiet"]) == 0
    for file in base.iterdir():
        assert (own_folder / "back" / file.name).read_bytes() == file.read_bytes()
    assert cli.run(["apply", str(out), str(base), "-o", str(own_folder / "again"), "--quiet"]) == 0
    shards = sorted(file.name for file in out.glob("*.safetensors"))
    assert all((own_folder / "again" / shard).read_bytes() == (out / shard).read_bytes() for shard in shards)


@pytest.mark.parametrize("name", ["edit", "apply", "revert", "export"])
def test_an_output_behind_a_link_is_written_where_the_link_leads(made, own_folder, name):
    (own_folder / "disk").mkdir()
    (own_folder / "link").symlink_to("disk", target_is_directory=True)
    assert cli.run([*commands(made, "link/out")[name], "--quiet"]) == 0
    assert (own_folder / "link").is_symlink()
    assert (own_folder / "disk" / "out" / "README.md").is_file()
    (own_folder / "full").mkdir()
    (own_folder / "full" / "mine.txt").write_text("mine")
    (own_folder / "to").symlink_to("full", target_is_directory=True)
    assert cli.run([*commands(made, "to")[name], "--quiet"]) == 1
    assert [path.name for path in (own_folder / "full").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("name", ["edit", "apply", "revert", "export"])
def test_of_two_processes_on_one_output_one_wins_and_it_is_whole(made, own_folder, name):
    command = commands(made, "out")[name]
    children = [killing.start(command, own_folder, killing.no_hub) for _ in range(2)]
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes == [0, 1]
    assert cli.run([*commands(made, "alone")[name], "--quiet"]) == 0
    alone, both = (killing.files_of(own_folder / folder) for folder in ("alone", "out"))
    assert both.keys() == alone.keys()
    assert {file for file in both if both[file] != alone[file]} <= {"README.md"}
    # Layers that the loser has finished stay for another try; nothing hidden does.
    assert {path.name for path in own_folder.iterdir()} <= {"alone", "out", "out.partial"}
