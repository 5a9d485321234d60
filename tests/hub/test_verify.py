"""verify over a Hub: what is read, what is not, and repos of which nothing good can be said."""

import json
import shutil
from pathlib import Path

import pytest
import server
from pushing import THERE, Desk, Done, files_of
from stocking import UP

from spin_hub.artifacts.delta_file import NAME as DELTA
from spin_hub.hub import ranges

BASE = "org/tiny"
MODES = pytest.mark.parametrize("mode", [(), ("--quick",)], ids=["full", "quick"])


def verified(desk: Desk, *arguments: str | Path, code: int = 0, who: str | None = None) -> dict:
    """The JSON object of a verification that ended with a code."""
    done = desk.run("verify", *arguments, "--json", who=who)
    assert done.code == code, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["equal"] == (code == 0)
    return found


def rows(found: dict) -> set[tuple[str, str]]:
    return {(row["what"], row["file"]) for row in found["differences"]}


def changed(desk: Desk, repo: str, files: dict[str, bytes]) -> None:
    """Commits files by hand, as somebody could who has the right to."""
    desk.hub.put(repo, {**desk.hub.files(repo), **files})


def shards(files: dict[str, bytes]) -> list[str]:
    return sorted(name for name in files if name.startswith("model-"))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@MODES
def test_an_edited_repo_is_its_base_with_the_edit(desk, stock, mode):
    found = verified(desk, THERE, *mode)
    assert found["edited"] == f"{THERE}@{desk.hub.sha(THERE)}"
    assert found["base"] == f"{BASE}@{desk.hub.sha(BASE)}"
    assert (found["places"], found["checked"], found["kind"], found["quick"]) == (3, 3, "model", bool(mode))


@MODES
@pytest.mark.parametrize("sides", ["folder and Hub", "Hub and folder", "folder and folder"])
def test_folders_and_repos_in_any_combination(desk, stock, mode, sharded, sides):
    edited = str(stock.edited) if sides.startswith("folder") else THERE
    named = ("--base", str(sharded)) if sides.endswith("folder") else ()
    assert verified(desk, edited, *named, *mode)["differences"] == []


def test_the_shards_of_an_edited_repo_are_not_downloaded_and_nothing_is_stored(desk, stock, sharded):
    files = desk.hub.files(THERE)
    touched = shards(files)[0]
    verified(desk, THERE)
    gets = [path for route, method, path in desk.hub.seen if method == "GET" and ".safetensors" in path]
    assert not [path for path in gets if path.startswith(f"/{THERE}/") and "/model-" in path]
    base = {path.rpartition("/")[2] for path in gets if path.startswith(f"/{BASE}/")}
    assert base == {touched, "model.safetensors.index.json"}, "only the shard that the edit touches is streamed"
    assert desk.hub.traffic["resolve"].bytes_out < len(files[touched]) + 200_000
    assert not [path for path in desk.home.rglob("*") if path.is_file()] if desk.home.exists() else True


def test_a_base_in_the_cache_is_not_asked_for_again(desk, stock):
    desk.run("apply", stock.delta, BASE, "-o", desk.folder / "again", who=None)
    desk.hub.reset_traffic()
    verified(desk, THERE)
    assert not [path for _, method, path in desk.hub.seen if method == "GET" and path.startswith(f"/{BASE}/")]
    desk.hub.reset_traffic()
    verified(desk, stock.edited)
    assert desk.hub.traffic["resolve"].requests == 0


def test_without_a_network_a_cached_base_serves(desk, stock):
    desk.run("apply", stock.delta, BASE, "-o", desk.folder / "again", who=None)
    commit = desk.hub.sha(BASE)
    done = desk.run("verify", stock.edited, "--json", who=None, HF_HUB_OFFLINE="1")
    assert done.data["base"] == f"{BASE}@{commit}"
    assert desk.run("verify", THERE, "--json", who=None, HF_HUB_OFFLINE="1").error["type"] == "HubSilent"


def test_a_damaged_download_is_not_blamed_on_the_edit(desk, stock):
    desk.run("apply", stock.delta, BASE, "-o", desk.folder / "again", who=None)
    name = shards(desk.hub.files(BASE))[0]
    path = next(desk.home.rglob(f"snapshots/*/{name}")).resolve()
    path.chmod(0o644)
    path.write_bytes(flipped(path.read_bytes(), -1 % path.stat().st_size))
    assert desk.run("verify", THERE, "--json", who=None).error["type"] == "DownloadDamaged"


@MODES
def test_one_byte_in_each_kind_of_file(desk, stock, mode):
    whole = desk.hub.files(THERE)
    touched, alone, *_ = shards(whole)
    tampered = {
        ("weights", alone): (alone, len(whole[alone]) - 1),
        ("weights", touched): (touched, 12),
        ("file", "config.json"): ("config.json", 5),
        ("file", "tokenizer.json"): ("tokenizer.json", 5),
        ("file", "model.safetensors.index.json"): ("model.safetensors.index.json", 5),
        ("file", "spin/base-README.md"): ("spin/base-README.md", 5),
        ("record", "spin/spin.json"): (f"spin/{DELTA}", len(whole[f"spin/{DELTA}"]) - 1),
        ("card", "README.md"): ("README.md", whole["README.md"].index(b"## Undo")),
    }
    for row, (name, at) in tampered.items():
        desk.hub.put(THERE, {**whole, name: flipped(whole[name], at)})
        found = verified(desk, THERE, *mode, code=3)
        assert row in rows(found), (name, found)


def test_a_touched_weight_that_is_not_zero_is_found_by_reading_pieces(desk, stock):
    whole = desk.hub.files(THERE)
    touched = shards(whole)[0]
    desk.hub.put(THERE, {**whole, touched: desk.hub.files(BASE)[touched]})
    for mode in ((), ("--quick",)):
        found = verified(desk, THERE, *mode, code=3)
        assert rows(found) == {("weights", touched)}
        assert any("hf download" in note for note in found["notes"]) == (not mode)
    assert UP in found["differences"][0]["found"]


def test_quick_reads_little_and_says_how_much(desk, stock):
    verified(desk, THERE, "--quick")
    for repo in (THERE, BASE):
        asked = [path for _, _, path in desk.hub.seen if repo in path]
        assert len(asked) <= 20, asked
    total = sum(desk.hub.traffic[route].bytes_out for route in desk.hub.traffic)
    assert total < 200_000


def test_a_sample_where_not_all_places_fit(desk, stock, monkeypatch):
    from stocking import a_delta

    from spin_hub.hub import store
    from spin_hub.verification import weights

    with desk.client_here():
        a_delta(desk.folder / "many", BASE, {UP: list(range(0, 2048, 64))})
    assert desk.run("apply", desk.folder / "many", BASE, "-o", desk.folder / "made", "--push",
                    "--repo-id", "alice/many").code == 0  # fmt: skip
    monkeypatch.setattr(store, "REQUESTS", 25)
    monkeypatch.setattr(store, "NBYTES", 0)
    monkeypatch.setattr(store, "_LEAST", 400)
    monkeypatch.setattr(weights, "_HEAD", 200)
    desk.hub.reset_traffic()
    found = verified(desk, "alice/many", "--quick")
    assert 0 < found["checked"] < found["places"] == 32
    assert verified(desk, "alice/many", "--quick")["checked"] == found["checked"], "the sample is the same every time"
    done = desk.run("verify", "alice/many", "--quick", who=None)
    assert f"{found['checked']} of 32, a sample" in " ".join(done.stdout.split())


def test_an_endpoint_that_ignores_ranges_is_refused_without_reading_it_all(desk, stock, monkeypatch):
    monkeypatch.setattr("hub_download._range", lambda header, size: None)
    error = desk.run("verify", THERE, "--quick", "--json", who=None).error
    assert error["type"] == "RangesIgnored"
    assert "--quick" in error["hint"]
    verified(desk, THERE)


def test_a_repo_without_an_edit(desk, stock):
    for mode in ((), ("--quick",)):
        assert desk.run("verify", BASE, *mode, "--json", who=None).error["type"] == "ArtefactNotFound"
        assert desk.run("verify", "org/nowhere", *mode, "--json", who=None).error["type"] == "ModelNotFound"


@MODES
def test_a_base_that_is_gone_or_gated(desk, stock, mode):
    repo = desk.hub.repo(BASE)
    repo.gated = "manual"
    assert desk.run("verify", THERE, *mode, "--json", who="bob").error["type"] == "AccessDenied"
    repo.gated = False
    repo.private = True
    assert desk.run("verify", THERE, *mode, "--json", who="bob").error["type"] == "ModelNotFound"


@MODES
def test_a_base_whose_commit_is_gone(desk, stock, sharded, mode):
    parts = json.loads(desk.hub.files(THERE)["spin/spin.json"])
    commit = parts["recipe"]["model"]["commit"]
    desk.hub.delete(BASE)
    desk.hub.put(BASE, {**files_of(sharded), "more.txt": b"rewritten"})
    assert desk.run("verify", THERE, *mode, "--json", who=None).error["type"] == "ModelNotFound"
    found = verified(desk, THERE, "--base", sharded, *mode, code=3)
    assert rows(found) == {("base", f"{BASE}@{commit[:12]}")}


@MODES
def test_a_delta_repo(desk, stock, mode):
    assert desk.push(stock.delta, repo="alice/delta").code == 0
    found = verified(desk, "alice/delta", *mode)
    assert (found["kind"], found["checked"]) == ("delta", 3)
    data = desk.hub.files("alice/delta")[DELTA]
    changed(desk, "alice/delta", {DELTA: flipped(data, len(data) - 1)})
    assert {row[0] for row in rows(verified(desk, "alice/delta", *mode, code=3))} == {"delta", "record"}
    assert verified(desk, THERE, "--delta", str(stock.delta), *mode)["equal"]


@MODES
def test_another_delta(desk, stock, mode):
    found = verified(desk, THERE, "--delta", str(stock.other), *mode, code=3)
    assert ("delta", f"spin/{DELTA}") in rows(found)


def test_a_stream_that_breaks_off_is_taken_up(desk, stock, monkeypatch):
    monkeypatch.setattr(ranges, "_PAUSE", 0)
    desk.hub.fail(server.Fault("resolve", cut_after=5000, method="GET", path="model-00001", times=2))
    desk.hub.fail(server.Fault("resolve", cut_after=3000, reset=True, method="GET", path="model-00001", times=1))
    verified(desk, THERE)
    assert desk.hub.faults.take("resolve", "GET", "model-00001") is None, "all of them were met"


def test_a_piece_that_breaks_off_is_asked_for_again(desk, stock, monkeypatch):
    monkeypatch.setattr(ranges, "_PAUSE", 0)
    fault = desk.hub.fail(server.Fault("resolve", cut_after=1, method="GET", path="model-00001", times=3))
    verified(desk, THERE, "--quick")
    assert fault.hits == 3
    desk.hub.fail(server.Fault("resolve", cut_after=1, method="GET", path="model-00001", times=None))
    assert desk.run("verify", THERE, "--quick", "--json", who=None).error["type"] == "HubSilent"


@MODES
def test_a_hub_that_fails_gives_no_verdict(desk, stock, mode, monkeypatch):
    monkeypatch.setattr(ranges, "_PAUSE", 0)
    desk.hub.fail(server.Fault("resolve", status=500, times=None, path="model-00001"))
    assert desk.run("verify", THERE, *mode, "--json", who=None).error["type"] == "HubSilent"


def test_names_from_strangers_carry_nothing_to_the_terminal(desk, stock, sharded):
    edited = desk.folder / "strange"
    shutil.copytree(stock.edited, edited)
    (edited / "\x1b[31mred.txt").write_text("x", "utf-8")
    done: Done = desk.run("verify", edited, "--base", sharded, who=None)
    assert done.code == 0, done.stdout
    assert "\x1b" not in done.stdout
    assert "?[31mred.txt" in done.stdout.replace("\n", "")


def test_the_table_fits_a_narrow_terminal_and_quiet_gives_the_name_alone(desk, stock):
    whole = desk.hub.files(THERE)
    desk.hub.put(THERE, {**whole, "config.json": b"{}", "README.md": b"nothing"})
    done = desk.run("verify", THERE, who=None, COLUMNS="80")
    assert done.code == 3
    assert max(map(len, done.stdout.splitlines())) <= 80
    for word in ("config.json", "README.md", "expected", "found"):
        assert word in done.stdout
    assert desk.run("verify", THERE, "--quiet", who=None).stdout == f"{THERE}\n"


def test_no_token_reaches_the_storage(desk, stock):
    desk.hub.repo(THERE).private = True
    verified(desk, THERE, "--quick", who="alice")
    verified(desk, THERE, who="alice")
    assert not desk.hub.leaks
