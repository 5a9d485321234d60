"""The true reason and the way on: each cause for which the Hub does not do what is asked, by each command."""

import json
import shlex
import socket
import ssl

import httpx2
import pytest
from huggingface_hub import hf_hub_download
from pushing import REPO, THERE, TOKENS, in_repo
from server import Fault

from spin_hub.hub import settings
from spin_hub.hub.failures import failure_of

BASE = "org/tiny"
RATIOS = ("--p", "1e-2", "--q", "1e-1", "--samples", "2", "--no-eval")
READING = {
    "inspect": lambda stock: ("inspect", THERE),
    "list": lambda stock: ("list",),
    "plan": lambda stock: ("edit", BASE, "--plan", *RATIOS),
    "apply": lambda stock: ("apply", stock.delta, BASE, "-o", "out"),
    "revert": lambda stock: ("revert", THERE, "-o", "back"),
    "verify": lambda stock: ("verify", THERE),
    "export": lambda stock: ("export", THERE, "--as", "peft", "-o", "adapter"),
    "reproduce": lambda stock: ("reproduce", THERE),
    "data": lambda stock: ("score", stock.edited, "--general", "org/rows", "-o", "ranking"),
    "push": lambda stock: ("push", stock.edited, "--repo-id", REPO),
}
SENTENCES = {
    # variables -> what the sentence names, and what the hint says
    "scheme": ({"ALL_PROXY": "socks://me:pw@127.0.0.1:9"}, "ALL_PROXY names the proxy socks://127.0.0.1:9", "unset it"),
    "socks": ({"all_proxy": "socks5://127.0.0.1:9"}, "all_proxy names the SOCKS proxy", "pip install socksio"),
    "malformed": ({"https_proxy": "http://me:pw@[::1"}, "https_proxy (http://[::1) is not the address", "unset https_"),
    "no scheme": ({"HF_ENDPOINT": "127.0.0.1:9"}, "HF_ENDPOINT is 127.0.0.1:9, without http://", "huggingface.co"),
    "port": ({"HF_ENDPOINT": "http://me:pw@127.0.0.1:99999"}, "HF_ENDPOINT (http://127.0.0.1:99999)", "huggingface.co"),
    "unknown host": ({"HF_ENDPOINT": "http://hub.invalid"}, "host is not known", "http://hub.invalid (HF_ENDPOINT)"),
    "offline": ({"HF_HUB_OFFLINE": "1"}, "offline mode is on", "Unset HF_HUB_OFFLINE"),
    "ellipsis": ({"HF_TOKEN": "hf_Alice\u2026"}, "no token has (U+2026, horizontal ellipsis)", "never shown"),
}


@pytest.fixture(autouse=True)
def no_socks(monkeypatch):
    monkeypatch.setattr(settings, "find_spec", lambda _: None)


@pytest.mark.parametrize("verb", READING)
@pytest.mark.parametrize("cause", SENTENCES)
def test_a_setting_with_which_nothing_can_be_asked_is_named(desk, stock, verb, cause):
    environment, said, cure = SENTENCES[cause]
    error = desk.run(*READING[verb](stock), "--json", **environment).error
    assert said in error["message"]
    assert cure in error["hint"]
    assert "pw" not in error["message"] + error["hint"]
    assert error["type"] == ("TokenRefused" if cause == "ellipsis" else error["type"])
    assert {path.name for path in desk.folder.iterdir()} <= {"hf", "storage"}


@pytest.mark.parametrize("environment", [settings for settings, *_ in SENTENCES.values()][:4], ids=str)
def test_folders_need_no_network(desk, stock, environment):
    done = desk.run("inspect", stock.edited, "--json", **environment)
    assert done.data["weights"] == 3
    assert not desk.hub.seen


NOT_A_HUB = {
    "a portal's page": {"status": 200, "body": "<!doctype html><title>Log in</title>"},
    "a page for errors": {"status": 502, "body": "<html>Bad Gateway</html>"},
    "other JSON": {"status": 200, "body": '{"hello": "world"}', "content_type": "application/json"},
    "a list": {"status": 200, "body": "[1]", "content_type": "application/json"},
    "nothing": {"status": 200, "body": ""},
}


@pytest.mark.parametrize("verb", READING)
@pytest.mark.parametrize("kind", NOT_A_HUB)
def test_an_answer_that_is_not_a_hub_s(desk, stock, verb, kind):
    desk.hub.fail(Fault("*", times=None, **NOT_A_HUB[kind]))
    error = desk.run(*READING[verb](stock), "--json").error
    expected = "it answered 502" if "errors" in kind else "it answered with something that is not a Hub's answer"
    assert expected in error["message"]
    assert f"{desk.hub.url} (HF_ENDPOINT)" in error["hint"]


def test_a_mirror_that_leads_files_elsewhere_is_named_with_its_status(desk, stock):
    desk.hub.fail(Fault("head", 308, times=None, location="https://mirror.invalid/config.json"))
    error = desk.run("apply", stock.delta, BASE, "-o", "out", "--json").error
    assert "it answered 308 with something that is not a Hub's answer" in error["message"]
    assert desk.hub.url in error["hint"]


def test_a_hub_without_encryption_and_one_that_is_gone(desk):
    url = desk.hub.url.replace("http://", "https://")
    error = desk.run("inspect", THERE, "--json", HF_ENDPOINT=url).error
    assert "no encrypted connection can be made" in error["message"]
    assert url in error["hint"]
    desk.hub.close()
    error = desk.run("inspect", THERE, "--json").error
    assert "the connection is refused" in error["message"]


# --- tokens ---------------------------------------------------------------------------------------------------------

IMPOSSIBLE = [
    "hf_Alice\u2026",
    "hf_\u0410lice",
    "hf_Al\u200bice",
    '"hf_Alice"',
    "Bearer hf_Alice",
    "hf_Al ice",
    "hf_\x01Alice",
]


@pytest.mark.parametrize("token", IMPOSSIBLE)
def test_a_token_with_characters_that_no_token_has(desk, stock, token):
    for verb in ("inspect", "list", "push", "plan"):
        error = desk.run(*READING[verb](stock), "--json", HF_TOKEN=token).error
        assert error["type"] == "TokenRefused"
        assert "The token of HF_TOKEN holds a character that no token has" in error["message"]
    finding = desk.run("env", "--json", HF_TOKEN=token).data["sections"]["hub"]["token"]
    assert finding["state"] == "problem"
    assert not any(part in text for text in desk.said for part in (token, "Alice", "lice"))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (TOKENS["alice"].encode() + b"\r\n", 0),
        (b"\xef\xbb\xbf" + TOKENS["alice"].encode(), 1),
        (("\ufeff" + TOKENS["alice"]).encode("utf-16-le"), 1),
    ],
    ids=["CRLF", "BOM", "UTF-16"],
)
def test_the_file_of_a_token(desk, content, code):
    desk.home.mkdir()
    (desk.home / "token").write_bytes(content)
    done = desk.run("inspect", THERE, "--json", who=None)
    (desk.home / "token").unlink()
    assert done.code == code
    if code:
        assert done.error["type"] == "TokenRefused"
        assert "hf auth login" in done.error["message"]


@pytest.mark.parametrize("verb", READING)
def test_a_token_that_the_hub_does_not_know_is_not_the_network(desk, stock, verb):
    error = desk.run(*READING[verb](stock), "--json", who="nobody").error
    assert error["type"] == "TokenRefused"
    assert "does not accept the token of HF_TOKEN (Invalid" in error["message"]
    assert "network" not in error["hint"]


# --- pushes ---------------------------------------------------------------------------------------------------------

FULL = "Private repository storage limit reached, please upgrade your plan"
WORDS = {
    # status, the Hub's words -> type, what the hint is about
    "full": (403, FULL, "PushFailed", "storage, not the token"),
    "full by another status": (422, FULL, "PushFailed", "storage, not the token"),
    "full in HTTP's words": (507, "Insufficient", "PushFailed", "storage, not the token"),
    "forbidden": (403, "You need write access to alice", "WriteDenied", "Use a token"),
    "unauthorized": (401, "Token expired", "TokenRefused", "/settings/tokens"),
    "conflict": (409, "Another operation is running", "PushFailed", "Something else"),
    "large": (413, "Payload too big", "PushFailed", "too large"),
    "invalid": (422, "The pointer is malformed", "PushFailed", "content itself"),
    "busy": (429, "Slow down", "PushFailed", "in 7200 s"),
    "down": (503, "Maintenance", "PushFailed", "in 7200 s"),
}


@pytest.mark.parametrize("route", ["create", "preupload", "batch", "commit"])
@pytest.mark.parametrize("cause", WORDS)
def test_the_hub_s_own_words_are_in_the_sentence(desk, stock, route, cause):
    status, words, kind, hint = WORDS[cause]
    fault = desk.hub.fail(Fault(route, status, times=None, message=words, retry_after=7200 if status > 428 else None))
    if (route, cause) == ("create", "conflict"):
        pytest.skip("the client takes it for a repo that exists")
    error = desk.push(stock.edited).error
    assert fault.hits
    assert error["type"] == kind
    assert words in error["message"]
    assert hint in error["hint"]
    assert in_repo(desk.hub) == {} if REPO in desk.hub.repo_ids() else True
    desk.hub.heal()
    assert desk.push(stock.edited).code == 0


def test_words_of_the_storage_are_told_without_its_links(desk, stock):
    xml = (
        "<?xml version='1.0'?><Error><Code>Slow</Code><Message>Over quota at http://a/b?signature=1.</Message></Error>"
    )
    desk.hub.fail(Fault("put", 403, times=None, body=xml, content_type="application/xml"))
    error = desk.push(stock.edited).error
    assert error["type"] == "PushFailed"
    assert "it answered 403 (Over quota at http://a/b)" in error["message"]


@pytest.mark.parametrize(
    "command",
    [
        ("edit", BASE, *RATIOS, "-o", "my out", "--push", "--repo-id", REPO, "--private"),
        ("apply", "alice/there", BASE, "-o", "my out", "--push", "--repo-id", REPO, "--private"),
    ],
    ids=["edit", "apply"],
)
def test_the_finished_output_is_named_and_pushed_by_the_command_of_the_hint(desk, stock, command):
    desk.hub.fail(Fault("commit", 403, message=FULL))
    error = desk.run(*command, "--json").error
    assert FULL in error["message"]
    assert "The output is finished, in " in error["hint"]
    again = shlex.split(error["hint"].split("`")[-2])
    assert again[0] == "spin-hub"
    assert desk.run(*again[1:], "--json").data["repo_id"] == REPO
    assert desk.hub.repo(REPO).private


def test_what_cannot_be_known_is_not_claimed(desk, stock, monkeypatch):
    def closed(*_: object, **__: object) -> None:
        raise RuntimeError("Cannot send a request, as the client has been closed.")

    with monkeypatch.context() as patched:
        patched.setattr("huggingface_hub.HfApi.create_commit", closed)
        error = desk.push(stock.other, repo=THERE).error
        assert "When the repo was looked at afterwards, it was as before." in error["message"]
        desk.hub.fail(Fault("info", 503, times=None, skip=2))
        error = desk.push(stock.other, repo=THERE).error
    assert error["type"] == "HubSilent"
    assert "whether the commit to alice/there has arrived" in error["message"]


# --- a busy Hub -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("verb", READING)
def test_a_busy_hub_is_asked_again(desk, stock, naps, verb, status):
    routes = {"list": "list", "data": "info", "push": "whoami"}
    if verb == "data":
        desk.hub.put("org/rows", {"rows.jsonl": json.dumps({"prompt": "a", "response": "b"}) + "\n"}, "dataset")
    fault = desk.hub.fail(Fault(routes.get(verb, "info"), status, times=2, retry_after=5))
    done = desk.run(*READING[verb](stock), "--json")
    assert fault.hits == 2
    assert naps[:2] in ([5.0, 5.0], [6.0, 6.0])  # ours, or the client's own with a second more
    assert "it answered" not in done.stdout


def test_a_busy_hub_is_not_waited_for_without_end(desk, stock, naps):
    fault = desk.hub.fail(Fault("info", 503, times=None))
    error = desk.run("inspect", THERE, "--json").error
    assert (fault.hits, naps) == (4, [1.0, 2.0, 4.0])
    assert "it answered 503" in error["message"]
    desk.hub.heal()
    naps.clear()
    fault = desk.hub.fail(Fault("info", 429, times=None, retry_after=3600))
    error = desk.run("inspect", THERE, "--json").error
    assert (fault.hits, naps) == (1, [])
    assert "in 3600 s" in error["hint"]


def test_waiting_is_told(desk, stock):
    desk.hub.fail(Fault("info", 503, times=2))
    done = desk.run("apply", stock.delta, BASE, "-o", "out")
    assert done.code == 0
    assert "The Hub is busy: it answered 503" in done.notes


# --- the cache ------------------------------------------------------------------------------------------------------


def snapshot(desk):
    [folder] = (desk.home / "hub" / "models--org--tiny" / "snapshots").iterdir()
    return folder


@pytest.mark.parametrize("silence", ["offline", "down", "gone"])
def test_a_part_of_a_model_in_the_cache_is_not_the_model(desk, stock, silence):
    assert desk.run(*READING["plan"](stock), "--json").code == 0
    names = sorted(path.name for path in snapshot(desk).iterdir())
    environment = {"HF_HUB_OFFLINE": "1"} if silence == "offline" else {}
    if silence == "down":
        desk.hub.fail(Fault("*", 503, times=None))
    elif silence == "gone":
        desk.hub.close()
    for command in (
        ("edit", BASE, *RATIOS),
        ("apply", stock.delta, BASE),
        ("score", BASE),
        ("edit", BASE, "--plan", *RATIOS),
    ):
        error = desk.run(*command, "--json", **environment).error
        assert error["type"] == "HubUnreachable"
        assert f"the local cache holds {len(names)} files of it, without model-0000" in error["message"]
        why = {"offline": "offline mode is on", "down": "it answered 503", "gone": "the connection is refused"}[silence]
        assert why in error["message"]


def test_shards_that_the_cache_lacks_are_named(desk, stock):
    assert desk.run(*READING["apply"](stock), "--json").code == 0
    (snapshot(desk) / "model-00002-of-00003.safetensors").unlink()
    (snapshot(desk) / "config.json").unlink()
    error = desk.run("apply", stock.delta, BASE, "-o", "again", "--json", HF_HUB_OFFLINE="1").error
    assert "without config.json, model-00002-of-00003.safetensors: offline mode is on" in error["message"]
    assert "Unset HF_HUB_OFFLINE" in error["hint"]


def test_a_delta_alone_is_enough_offline_and_its_lack_is_told(desk, stock):
    assert desk.run("inspect", THERE, "--json").code == 0
    assert desk.run("inspect", THERE, "--json", HF_HUB_OFFLINE="1").code == 0
    assert desk.run(*READING["apply"](stock), "--json").code == 0
    error = desk.run("apply", BASE, BASE, "-o", "again", "--json", HF_HUB_OFFLINE="1").error
    assert error["type"] == "HubUnreachable"
    assert "without delta: offline mode is on" in error["message"]


def test_a_damaged_copy_in_the_cache_is_named_with_the_command_that_removes_it(desk, stock):
    assert desk.run("inspect", THERE, "--json").code == 0
    assert desk.run(*READING["apply"](stock), "--json").code == 0
    shard = snapshot(desk) / "model-00001-of-00003.safetensors"
    [delta] = (desk.home / "hub" / "models--alice--there").rglob("spin_delta.safetensors")
    for file in (shard, delta):
        file.resolve().write_bytes(file.read_bytes()[:100])
    for command, repo in ((("apply", stock.delta, BASE), BASE), (("inspect", THERE), THERE)):
        error = desk.run(*command, "--json", HF_HUB_OFFLINE="1").error
        assert error["type"] == "CorruptFile"
        assert f"`hf cache rm model/{repo}` removes it" in error["hint"]


def test_a_cache_that_cannot_be_used_is_not_the_network(desk, stock):
    desk.folder.joinpath("hf").write_text("a file where a folder should be")
    for verb in ("inspect", "apply", "plan"):
        error = desk.run(*READING[verb](stock), "--json").error
        assert "could not be downloaded" in error["message"]
        assert "(Not a directory)" in error["message"]
        assert "HF_HOME" in error["hint"]


@pytest.mark.parametrize("status", [401, 403, 503])
def test_a_part_that_the_client_takes_for_the_whole_is_not_taken(desk, stock, status):
    """Where a repo's list of files does not come, the client returns what is in the cache."""
    with desk.client_here():
        hf_hub_download(BASE, "config.json")
    desk.hub.fail(Fault("tree", status, times=None))
    error = desk.run("apply", stock.delta, BASE, "-o", "out", "--json").error
    assert error["type"] == {401: "TokenRefused", 403: "AccessDenied"}.get(status, "HubUnreachable")
    desk.hub.heal()
    assert desk.run("apply", stock.delta, BASE, "-o", "out", "--json").code == 0


@pytest.mark.parametrize(
    ("status", "words", "who", "kind", "said"),
    [
        (403, "Access to this resource is disabled.", "alice", "AccessDenied", "the Hub has disabled the repo"),
        (403, "This address is not on the list", "alice", "AccessDenied", "not on the list"),
        (401, "Log in first", None, "HubUnreachable", "there is no token here (Log in first)"),
        (404, "No such route", "alice", "HubUnreachable", "it answered 404 (No such route)"),
    ],
)
def test_what_the_hub_says_to_a_reader(desk, status, words, who, kind, said):
    desk.hub.fail(Fault("info", status, times=None, message=words))
    error = desk.run("inspect", THERE, "--json", who=who).error
    assert error["type"] == kind
    assert said in error["message"]


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (caused(httpx2.ConnectError("x"), ssl.SSLCertVerificationError("self-signed")), "certificate"),
        (caused(httpx2.ConnectError("x"), ssl.SSLError("WRONG_VERSION_NUMBER")), "tls"),
        (caused(httpx2.ConnectError("x"), socket.gaierror(-2, "unknown")), "host"),
        (httpx2.ReadTimeout("slow"), "slow"),
        (httpx2.ProxyError("407 Proxy Authentication Required"), "proxy"),
        (httpx2.RemoteProtocolError("disconnected"), "broken"),
        (RuntimeError("Cannot send a request, as the client has been closed."), "broken"),
        (PermissionError(13, "Permission denied", "/cache/x.lock"), "disk"),
        (OSError("strange"), "other"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_happens_before_an_answer(error, cause):
    found = failure_of(error)
    assert found.cause == cause
    assert not found.why.endswith(".") and found.hint.endswith(".")
