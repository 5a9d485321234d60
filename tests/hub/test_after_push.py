"""A push is looked at once more by itself, and what that finds does not undo it."""

import json
import shutil

import pytest
import server
from pushing import REPO, Desk
from stocking import UP, a_delta

from spin_hub.hub import ranges
from spin_hub.kinds import exported


def looked(done) -> dict:
    return json.loads(done.stdout)["verification"]


def test_every_push_is_verified_quickly(desk: Desk, stock):
    found = looked(desk.push(stock.edited))
    assert found["equal"]
    assert found["quick"]
    assert (found["edited"], found["checked"]) == (f"{REPO}@{desk.hub.sha(REPO)}", 3)
    assert looked(desk.push(stock.delta, repo="alice/delta"))["kind"] == "delta"
    made = desk.run("apply", stock.delta, "org/tiny", "--push", "--repo-id", "alice/applied", "--json")
    assert looked(made)["equal"]
    sizes = ("--p", "1e-2", "--q", "1e-1", "--samples", "2", "--no-eval")
    edited = desk.run("edit", "org/tiny", *sizes, "-o", "made", "--push", "--repo-id", "alice/made", "--json")
    assert looked(edited)["equal"], edited.stdout


def test_a_person_is_told_in_a_line(desk, stock):
    done = desk.run("push", stock.edited, "--repo-id", REPO)
    assert "3 of 3 touched weights" in " ".join(done.stdout.split())
    assert "WARNING" not in done.stderr


def test_no_verify_asks_nothing_more(desk, stock):
    desk.push(stock.edited, repo="alice/one")
    with_it = desk.hub.traffic["resolve"].requests
    desk.hub.reset_traffic()
    done = desk.push(stock.edited, "--no-verify", repo="alice/two")
    assert "verification" not in done.data
    assert desk.hub.traffic["resolve"].requests == 0 < with_it


def test_no_verify_says_how_to_push(desk, stock):
    done = desk.run("apply", stock.delta, "org/tiny", "--no-verify", "-o", "x")
    assert done.code == 2
    assert "--no-verify" in done.notes


def test_a_pull_request_is_verified_too(desk, stock):
    desk.push(stock.edited)
    folder = desk.folder / "mine"
    shutil.copytree(stock.edited, folder)
    (folder / "notes.txt").write_text("x", "utf-8")
    done = desk.push(folder, "--create-pr")
    assert done.data["pull_request"]
    assert looked(done)["equal"]
    assert "notes.txt" in looked(done)["notes"][0]


def test_a_difference_ends_with_3_and_a_table_and_the_push_stays(desk, stock):
    folder = desk.folder / "mine"
    shutil.copytree(stock.edited, folder)
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes() + b"\n")
    done = desk.push(folder)
    assert done.code == 3
    found = json.loads(done.stdout)
    assert found["commit"] == desk.hub.sha(REPO)
    assert [(row["what"], row["file"]) for row in found["verification"]["differences"]] == [("file", "config.json")]
    shown = desk.run("push", folder, "--repo-id", "alice/again")
    assert shown.code == 3
    assert "config.json" in shown.stdout
    quiet = desk.run("push", folder, "--repo-id", "alice/quiet", "--quiet")
    assert (quiet.code, quiet.stdout) == (3, f"{desk.hub.url}/alice/quiet\n")


def test_what_hinders_the_verification_is_a_warning(desk, stock, monkeypatch):
    monkeypatch.setattr(ranges, "_PAUSE", 0)
    desk.hub.fail(server.Fault("resolve", status=500, times=None, method="GET", path="spin_delta"))
    done = desk.push(stock.edited)
    assert done.code == 0
    assert "verification" not in done.data
    assert "not verified" in done.data["warnings"][0]
    shown = desk.run("push", stock.edited, "--repo-id", "alice/again")
    assert shown.code == 0
    assert "WARNING" in shown.stderr


def test_a_base_that_is_a_folder(desk, stock, sharded):
    """Where the base is at hand it serves; a push of the folder alone says how to go on."""
    with desk.client_here():
        a_delta(desk.folder / "local", str(sharded), {UP: [3, 70]})
    made = desk.run("apply", desk.folder / "local", sharded, "-o", desk.folder / "edited", "--push",
                    "--repo-id", REPO, "--json")  # fmt: skip
    assert looked(made)["equal"], made.stdout
    again = desk.push(desk.folder / "edited", repo="alice/again")
    assert again.code == 0
    assert "verification" not in again.data
    assert "spin-hub verify alice/again --base FOLDER" in again.notes


@pytest.mark.parametrize("form", exported())
def test_a_pushed_adapter_is_verified_as_far_as_it_goes(desk, stock, form):
    sizes = ("--p", "1e-2", "--q", "1e-1", "--samples", "2", "--no-eval", "--yes")
    done = desk.run("edit", "org/tiny", *sizes, "--as", form, "--push", "--repo-id", f"alice/{form}", "--json")
    assert looked(done)["kind"] == form, done.stdout + done.stderr
    assert looked(done)["equal"], looked(done)["differences"]
