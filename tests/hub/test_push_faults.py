"""What a person sees when a push goes wrong; nothing is lost, doubled or half-written, and the same command goes on."""

import itertools

import pytest
from pushing import REPO, THERE, as_pushed, in_repo, large
from server import Fault

STATUSES = (401, 403, 404, 412, 429, 500, 503)
SILENT = dict.fromkeys(STATUSES, "HubSilent")
REFUSED = dict.fromkeys(STATUSES, "PushFailed") | {401: "TokenRefused", 403: "WriteDenied"}
BEFORE = dict.fromkeys(("whoami", "info", "head", "resolve", "tree", "validate"), SILENT | {401: "TokenRefused"})
ON_THE_WAY = {
    "preupload": REFUSED | {412: "RepoMoved"},
    "batch": REFUSED | {412: "RepoMoved"},
    "put": dict.fromkeys(STATUSES, "PushFailed"),
    "verify": REFUSED,
    "commit": REFUSED | {412: "RepoMoved"},
}
BROKEN = {
    "cut": {"cut_after": 20},
    "reset": {"cut_after": 20, "reset": True},
    "lost": {"after": True},
    "lost by a reset": {"after": True, "reset": True},
    "504 when done": {"status": 504, "after": True},
}

# Of a commit whose fate is unknown neither is said.
CLAIMS = ("Nothing was committed.", "When the repo was looked at afterwards, it was as before.")


def goes_on(desk, stock, repo=THERE, commits=2, *options) -> None:
    """The same command again, once the Hub works: it makes the one commit that is owed, with everything."""
    desk.hub.heal()
    done = desk.push(stock.other, *options, repo=repo)
    assert done.code == 0, done.stdout + done.stderr
    assert in_repo(desk.hub, repo) == as_pushed(stock.other, repo)
    assert len(desk.hub.commits(repo)) == commits + 1


@pytest.mark.parametrize("route", [*BEFORE, *ON_THE_WAY])
def test_an_answer_that_is_an_error_is_one_sentence_and_changes_nothing(desk, stock, route):
    repo = desk.hub.repo(THERE)
    before, objects = desk.hub.sha(THERE), dict(repo.objects)
    for status, kind in (BEFORE | ON_THE_WAY)[route].items():
        fault = desk.hub.fail(Fault(route, status, times=None, retry_after=1 if status == 429 else None))
        error = desk.push(stock.other, repo=THERE).error
        assert fault.hits, f"{route} was never asked for"
        assert error["type"] == kind, (status, error)
        if kind in {"PushFailed", "HubSilent"}:
            assert "refuses it (" if status == 403 else f"it answered {status}" in error["message"]
        desk.hub.heal()
        assert desk.hub.sha(THERE) == before
        repo.objects = dict(objects)
    goes_on(desk, stock)


@pytest.mark.parametrize("route", [*BEFORE, *ON_THE_WAY])
def test_a_connection_that_breaks_is_one_sentence_and_changes_nothing(desk, stock, route):
    repo = desk.hub.repo(THERE)
    before, objects = desk.hub.sha(THERE), dict(repo.objects)
    for name, broken in BROKEN.items():
        if (route, name) in {("head", "cut"), ("head", "reset")} or (route == "commit" and "after" in broken):
            continue  # an answer without a body cannot be cut; a commit that is done is another matter
        fault = desk.hub.fail(Fault(route, times=None, **broken))
        error = desk.push(stock.other, repo=THERE).error
        assert fault.hits, f"{route} was never asked for"
        assert error["type"] == ("HubSilent" if route in BEFORE else "PushFailed"), (name, error)
        desk.hub.heal()
        assert desk.hub.sha(THERE) == before
        repo.objects = dict(objects)
    goes_on(desk, stock)


@pytest.mark.parametrize("name", ["lost", "lost by a reset", "504 when done"])
@pytest.mark.parametrize(("repo", "commits"), [(THERE, 2), (REPO, 1)])
def test_a_commit_that_is_done_but_never_answered_is_found_and_not_repeated(desk, stock, name, repo, commits):
    desk.hub.fail(Fault("commit", times=None, **BROKEN[name]))
    done = desk.push(stock.other, repo=repo)
    assert done.data["commit"] == desk.hub.sha(repo)
    assert desk.hub.traffic["commit"].requests == 1
    goes_on(desk, stock, repo, commits)


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429, "retry_after": 1}, {"after": True}], ids=str)
def test_what_fails_once_and_is_asked_for_again_is_no_failure(desk, stock, fault):
    routes = ["preupload", "batch", "put", "verify", "tree"]
    hits = [desk.hub.fail(Fault(route, **fault)) for route in routes]
    assert desk.push(stock.other, repo=THERE).code == 0
    assert [hit.hits for hit in hits] == [1] * len(routes)
    goes_on(desk, stock)


def test_a_limit_of_requests_is_waited_for_as_long_as_the_hub_asks(desk, stock, naps):
    desk.hub.fail(Fault("preupload", 429, retry_after=7))
    assert desk.push(stock.other).code == 0
    assert 8.0 in naps


def test_a_slow_hub_is_waited_for(desk, stock):
    for route in ("whoami", "info", "put", "commit"):
        desk.hub.fail(Fault(route, delay=0.2))
    assert desk.push(stock.other).code == 0
    assert in_repo(desk.hub) == as_pushed(stock.other)


@pytest.mark.parametrize("cut", [1, 5_000, 30_000])
def test_files_that_arrived_are_not_sent_again(desk, stock, cut):
    fault = desk.hub.fail(Fault("put", cut_after=cut, times=None, skip=2))
    assert desk.push(stock.other).error["type"] == "PushFailed"
    assert fault.hits
    there = dict(desk.hub.repo(REPO).objects)
    assert there
    desk.hub.reset_traffic()
    goes_on(desk, stock, REPO, 1)
    missing = {oid: size for oid, size in large(stock.other).items() if oid not in there}
    assert desk.hub.traffic["put"].bytes_in == sum(missing.values())


def test_a_repo_that_cannot_be_made(desk, stock):
    for status in (*STATUSES, None):
        desk.hub.fail(Fault("create", status, times=None, cut_after=None if status else 10))
        error = desk.push(stock.other).error
        assert error["type"] == {401: "TokenRefused", 403: "WriteDenied"}.get(status, "PushFailed")
        assert REPO not in desk.hub.repo_ids()
        desk.hub.heal()
    goes_on(desk, stock, REPO, 1)


def test_a_repo_that_was_made_without_an_answer_is_taken(desk, stock):
    desk.hub.fail(Fault("create", after=True))
    assert desk.push(stock.other, "--private").error["type"] == "PushFailed"
    assert in_repo(desk.hub) == {}
    goes_on(desk, stock, REPO, 1)
    assert desk.hub.repo(REPO).private


def test_a_branch_that_cannot_be_begun(desk, stock):
    denied = {401: "TokenRefused", 403: "WriteDenied", 404: "SpinHubError"}
    for route, status in itertools.product(("refs", "branch"), (*STATUSES, None)):
        desk.hub.fail(Fault(route, status, times=None, cut_after=None if status else 1))
        error = desk.push(stock.other, "--branch", "trial", repo=THERE).error
        silent = "TokenRefused" if status == 401 else "HubSilent"
        assert error["type"] == (silent if route == "refs" else denied.get(status, "PushFailed"))
        desk.hub.heal()
        assert set(desk.hub.branches(THERE)) == {"main"}
    assert desk.push(stock.other, "--branch", "trial", repo=THERE).code == 0
    assert in_repo(desk.hub, THERE, "trial") == as_pushed(stock.other, THERE)


def test_a_branch_that_was_begun_without_an_answer_is_taken(desk, stock):
    desk.hub.fail(Fault("branch", after=True))
    assert desk.push(stock.other, "--branch", "trial", repo=THERE).error["type"] == "PushFailed"
    assert desk.push(stock.other, "--branch", "trial", repo=THERE).code == 0
    assert len(desk.hub.commits(THERE, "trial")) == 3


def test_a_tag_that_cannot_be_set_leaves_the_commit_which_is_not_called_lost(desk, stock):
    for fault in ({"cut_after": 1}, *({"status": status} for status in STATUSES), {"after": True}):
        desk.hub.fail(Fault("tag", times=None, **fault))
        error = desk.push(stock.other, "--tag", "v2", repo=THERE).error
        assert error["type"] == ("WriteDenied" if fault.get("status") in {401, 403} else "HubSilent")
        assert "'v2'" in error["message"]
        assert not set(CLAIMS) & set(error["message"].split(". "))
        assert in_repo(desk.hub, THERE) == as_pushed(stock.other, THERE)
        desk.hub.heal()
    goes_on(desk, stock, THERE, 2, "--tag", "v2")
    assert desk.hub.tags(THERE) == {"v2": desk.hub.sha(THERE)}


def test_a_tag_that_means_another_commit_is_told_before_anything_is_sent(desk, stock):
    assert desk.push(stock.edited, "--tag", "v1", repo=THERE).code == 0
    before = desk.hub.sha(THERE)
    desk.hub.reset_traffic()
    error = desk.push(stock.other, "--tag", "v1", repo=THERE).error
    assert "'v1'" in error["message"]
    assert (desk.hub.sha(THERE), desk.hub.traffic["put"].bytes_in) == (before, 0)
    assert desk.push(stock.edited, "--tag", "v1", repo=THERE).code == 0


@pytest.mark.parametrize("unanswered", [{"status": 503}, {"cut_after": 0}], ids=str)
@pytest.mark.parametrize("route", ["info", "tree"])
def test_a_commit_of_which_nothing_is_known_is_not_called_a_failure_and_not_repeated(desk, stock, route, unanswered):
    desk.hub.fail(Fault("commit", after=True))
    desk.hub.fail(Fault(route, times=None, skip=2, **unanswered))
    error = desk.push(stock.other, repo=THERE).error
    assert error["type"] == "HubSilent"
    assert not set(CLAIMS) & set(error["message"].split(". "))
    head = desk.hub.sha(THERE)
    goes_on(desk, stock)
    assert desk.hub.sha(THERE) == head


@pytest.mark.parametrize("unanswered", [{"status": 503}, {"status": 403}, {"status": 404}, {"cut_after": 0}], ids=str)
def test_a_commit_that_cannot_be_proven_is_not_called_a_failure(desk, stock, unanswered):
    desk.hub.fail(Fault("tree", times=None, skip=2, **unanswered))
    error = desk.push(stock.other, repo=THERE).error
    assert error["type"] == "HubSilent"
    assert in_repo(desk.hub, THERE) == as_pushed(stock.other, THERE)
    goes_on(desk, stock)


@pytest.mark.parametrize("fault", [{"after": True}, {"status": 504, "after": True}], ids=str)
def test_a_pull_request_that_was_opened_without_an_answer_is_found(desk, stock, fault):
    desk.hub.fail(Fault("commit", **fault))
    done = desk.push(stock.other, "--create-pr", repo=THERE)
    assert done.data["pull_request"] == f"{desk.hub.url}/{THERE}/discussions/1"
    assert len(desk.hub.pull_requests(THERE)) == 1
    assert done.data["commit"] == desk.hub.sha(THERE, "refs/pr/1")


def test_a_pull_request_of_old_is_not_taken_for_the_one_that_was_lost(desk, stock):
    assert desk.push(stock.other, "--create-pr", repo=THERE).code == 0
    desk.hub.pull_requests(THERE)[0].status = "closed"
    desk.hub.fail(Fault("commit", 500))
    error = desk.push(stock.other, "--create-pr", repo=THERE).error
    assert error["type"] == "PushFailed"


@pytest.mark.parametrize("route", ["paths-info", "copy"])
@pytest.mark.parametrize("fault", [{"status": 403}, {"status": 503}, {"after": True}], ids=str)
def test_a_copy_that_fails_costs_bytes_and_nothing_else(desk, stock, route, fault):
    desk.hub.state.copies = True
    desk.hub.fail(Fault(route, times=None, **fault))
    done = desk.push(stock.other)
    if done.code:
        assert done.error["type"] == "PushFailed"
        assert in_repo(desk.hub) == {}
    goes_on(desk, stock, REPO, 1)


def test_what_the_hub_says_against_a_commit_is_told(desk, stock):
    desk.hub.fail(Fault("commit", 400, message="Your push was rejected because it contains secrets"))
    error = desk.push(stock.other, repo=THERE).error
    assert "contains secrets" in error["message"]


def test_files_that_the_repo_ignores_are_missed(desk, stock):
    desk.hub.put(THERE, {".gitignore": "*.png\nspin.json\n"})
    error = desk.push(stock.other, repo=THERE).error
    assert "does not hold what was pushed: " in error["message"]
    assert "spin/spin.json" in error["message"]
