"""Deltas and edited models are found by their tags, whatever strangers write into their cards."""

import json


def test_what_was_pushed_is_found_by_its_base(desk, stock):
    desk.push(stock.edited)
    desk.push(stock.delta, repo="alice/tiny-spin-delta")
    found = desk.run("list", "--base", "org/tiny", "--author", "alice", "--json").data["edits"]
    kinds = {entry["repo_id"]: entry["kind"] for entry in found}
    assert kinds["alice/tiny-spin"] == "model"
    assert kinds["alice/tiny-spin-delta"] == "delta"
    assert all(entry["base"] == "org/tiny" and entry["rule"] == "paper" for entry in found)
    assert {entry["weights"] for entry in found} == {
        json.loads((stock.edited / "spin" / "spin.json").read_text())["result"]["weights"]
    }
    assert desk.run("list", "--base", "org/whole", "--author", "bob", "--json").data["edits"] == []


def test_people_see_a_table_that_fits(desk, stock):
    desk.push(stock.edited)
    shown = desk.run("list").stdout
    assert "alice/tiny-spin" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "There is none of org/nothing." in desk.run("list", "--base", "org/nothing").stdout


def test_programs_get_a_page_a_line(desk, stock):
    desk.push(stock.edited)
    lines = desk.run("list", "--quiet", "--author", "alice").stdout.splitlines()
    assert f"{desk.hub.url}/alice/tiny-spin" in lines


def test_private_repos_are_for_those_who_may_read_them(desk, stock):
    desk.push(stock.edited, "--private")
    mine = desk.run("list", "--json").data["edits"]
    theirs = desk.run("list", "--json", who="bob").data["edits"]
    assert [entry["repo_id"] for entry in mine if entry["private"]] == ["alice/tiny-spin"]
    assert "alice/tiny-spin" not in [entry["repo_id"] for entry in theirs]


def test_a_limit_is_kept(desk, stock):
    desk.push(stock.edited)
    desk.push(stock.delta, repo="alice/tiny-spin-delta")
    assert len(desk.run("list", "--limit", "1", "--json").data["edits"]) == 1


def test_a_strangers_card_breaks_nothing(desk):
    block = 'spin_hub: {kind: "\\e[31m\\nred", rule: [1], p: x, q: true, weights: "many"}'
    card = f"---\ntags: [spin-hub]\nbase_model: [org/tiny, org/whole]\n{block}\n---\n"
    desk.hub.put("bob/strange", {"README.md": card})
    desk.hub.put("bob/bare", {"README.md": "---\ntags: [spin-hub]\nspin_hub: 7\n---\n"})
    entries = {entry["repo_id"]: entry for entry in desk.run("list", "--author", "bob", "--json").data["edits"]}
    assert entries["bob/strange"]["kind"] == "?[31m red"
    assert [entries["bob/strange"][name] for name in ("rule", "p", "q", "weights")] == [None] * 4
    assert entries["bob/strange"]["base"] == "org/tiny"
    assert entries["bob/bare"]["kind"] is None
    assert "\x1b" not in desk.run("list").stdout


def test_bad_questions_are_usage_errors(desk):
    for options in (["--base", "tiny"], ["--base", "a/b/c"], ["--limit", "0"]):
        assert desk.run("list", *options, "--json").code == 2


def test_a_hub_that_does_not_answer_is_one_sentence(desk):
    import server

    desk.hub.fail(server.Fault("list", status=503, times=None))
    assert desk.run("list", "--json").error["type"] == "HubSilent"
    assert desk.run("list", "--json", HF_HUB_OFFLINE="1").error["type"] == "HubSilent"
