"""Several at once, and pushes that are ended in the middle: one wins whole, nothing is mixed, and all go on."""

import signal
import threading
import time

import pytest
from pushing import REPO, THERE, as_pushed, in_repo, large
from server import Fault

pytestmark = pytest.mark.moderate

EDIT = ("edit", "org/tiny", "--p", "1e-2", "--q", "1e-1", "--samples", "2", "--no-eval", "--push")


def wait_until(reached, process=None) -> None:
    """Returns as soon as something is reached, which a process works for."""
    end = time.monotonic() + 100
    while not _tried(reached):
        ended = process is not None and process.poll() is not None
        assert not ended and time.monotonic() < end, process.communicate() if ended else "never reached"
        time.sleep(0.005)


def _tried(reached) -> bool:
    try:
        return bool(reached())
    except KeyError:  # the repo has yet to be made
        return False


def wait_for(desk, route: str) -> None:
    """Returns as soon as a route is asked for."""
    wait_until(lambda: any(seen == route for seen, _, _ in list(desk.hub.seen)))


def while_waiting(desk, route: str, act, push):
    """Acts as somebody else while a push waits for the answer of a route; gives how the push ended."""
    desk.hub.reset_traffic()
    desk.hub.fail(Fault(route, delay=0.8))
    ended = []
    worker = threading.Thread(target=lambda: ended.append(push()))
    worker.start()
    wait_for(desk, route)
    act()
    worker.join()
    return ended[0]


@pytest.mark.parametrize("route", ["validate", "preupload", "put"])
def test_a_commit_of_somebody_else_meanwhile_is_not_overwritten(desk, stock, route):
    theirs = {"notes.txt": "mine", "config.json": "{}"}
    done = while_waiting(desk, route, lambda: desk.hub.put(THERE, theirs), lambda: desk.push(stock.other, repo=THERE))
    assert done.error["type"] == "RepoMoved"
    assert in_repo(desk.hub, THERE)["config.json"] == b"{}"
    assert len(desk.hub.commits(THERE)) == 3
    assert desk.push(stock.other, repo=THERE).code == 0
    assert in_repo(desk.hub, THERE) == {**as_pushed(stock.other, THERE), "notes.txt": b"mine"}


def test_a_repo_that_somebody_else_fills_while_it_is_made_is_not_overwritten(desk, stock):
    done = while_waiting(
        desk, "create", lambda: desk.hub.put(REPO, {"config.json": "{}"}), lambda: desk.push(stock.edited)
    )
    assert done.error["type"] == "RepoMoved"
    assert in_repo(desk.hub) == {"config.json": b"{}"}
    assert desk.push(stock.edited).error["type"] == "NotOurRepo"


def test_a_public_repo_that_somebody_else_makes_is_no_place_for_a_private_one(desk, stock):
    attributes = desk.hub.files(THERE)[".gitattributes"]
    done = while_waiting(
        desk,
        "create",
        lambda: desk.hub.put(REPO, {".gitattributes": attributes}),
        lambda: desk.push(stock.edited, "--private"),
    )
    assert done.error["type"] == "VisibilityDiffers"
    assert in_repo(desk.hub) == {}


@pytest.mark.parametrize("arrived", [True, False])
def test_an_answer_that_is_lost_while_somebody_else_commits(desk, stock, arrived):
    """The commit is found below the other one, or it is said that somebody else was first."""
    desk.hub.fail(Fault("commit", after=True) if arrived else Fault("commit", cut_after=50))
    desk.hub.fail(Fault("info", delay=0.8, skip=2))
    ended = []
    worker = threading.Thread(target=lambda: ended.append(desk.push(stock.other, repo=THERE)))
    worker.start()
    wait_until(lambda: [route for route, _, _ in desk.hub.seen].count("info") == 3)
    desk.hub.put(THERE, {"config.json": "{}"})
    worker.join()
    if arrived:
        assert ended[0].data["commit"] == desk.hub.commits(THERE)[1].oid
    else:
        assert ended[0].error["type"] == "RepoMoved"
    assert in_repo(desk.hub, THERE)["config.json"] == b"{}"
    assert len(desk.hub.commits(THERE)) == (4 if arrived else 3)


@pytest.mark.parametrize("repo", [REPO, THERE])
def test_two_processes_that_push_at_once_never_mix(desk, stock, repo):
    folders = (stock.other, stock.whole)
    desk.hub.fail(Fault("commit", delay=0.5, times=2))
    processes = [desk.start("push", folder, "--repo-id", repo, "--json") for folder in folders]
    done = [desk.finish(process) for process in processes]
    assert any(ended.code == 0 for ended in done)
    for ended in done:
        assert ended.code == 0 or ended.error["type"] == "RepoMoved"
    assert in_repo(desk.hub, repo) in [as_pushed(folder, repo) for folder in folders]
    for folder in folders:
        assert desk.push(folder, repo=repo).code == 0
        assert in_repo(desk.hub, repo) == as_pushed(folder, repo)


def test_an_edit_that_is_killed_while_it_is_sent_goes_on_without_scoring_again(desk):
    cut = desk.hub.fail(Fault("put", cut_after=100, times=None, skip=2))
    process = desk.start(*EDIT)
    wait_until(lambda: cut.hits and len(desk.hub.repo(REPO).objects) == 2, process)
    process.kill()
    done = desk.finish(process)
    assert (done.code, in_repo(desk.hub)) == (-signal.SIGKILL, {})
    assert "Selected" in done.stderr
    folder = desk.folder / "tiny-spin"
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    there = dict(desk.hub.repo(REPO).objects)

    desk.hub.heal()
    desk.hub.reset_traffic()
    again = desk.run(*EDIT, "--json")
    assert again.data["repo_id"] == REPO
    assert "it is pushed as it is" in again.notes
    assert "Selected" not in again.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == written
    assert in_repo(desk.hub) == as_pushed(folder)
    missing = {oid: size for oid, size in large(folder).items() if oid not in there}
    assert desk.hub.traffic["put"].bytes_in == sum(missing.values())
    assert len(desk.hub.commits(REPO)) == 2


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_push_that_is_interrupted_leaves_the_repo_as_it_was(desk, stock, sign):
    before = desk.hub.sha(THERE)
    desk.hub.fail(Fault("put", delay=1, times=None))
    process = desk.start("push", stock.other, "--repo-id", THERE)
    wait_for(desk, "put")
    process.send_signal(sign)
    done = desk.finish(process)
    assert done.code == {signal.SIGINT: 130, signal.SIGTERM: 143}[sign]
    assert "Traceback" not in done.stderr
    assert desk.hub.sha(THERE) == before
    there = dict(desk.hub.repo(THERE).objects)
    desk.hub.heal()
    desk.hub.reset_traffic()
    assert desk.push(stock.other, repo=THERE).code == 0
    missing = {oid: size for oid, size in large(stock.other).items() if oid not in there}
    assert desk.hub.traffic["put"].bytes_in == sum(missing.values())
    assert in_repo(desk.hub, THERE) == as_pushed(stock.other, THERE)


def test_a_process_that_is_killed_before_it_knows_of_its_commit_has_pushed(desk, stock):
    desk.hub.fail(Fault("commit", after=True))
    desk.hub.fail(Fault("info", delay=1, skip=2))
    process = desk.start("push", stock.other, "--repo-id", THERE)
    wait_until(lambda: len(desk.hub.commits(THERE)) == 3, process)
    process.kill()
    desk.finish(process)
    done = desk.push(stock.other, repo=THERE)
    assert done.data["uploaded"] == 0
    assert in_repo(desk.hub, THERE) == as_pushed(stock.other, THERE)
    assert len(desk.hub.commits(THERE)) == 3


def test_an_interrupted_apply_goes_on_with_what_it_wrote(desk, stock):
    command = ("apply", stock.delta, "org/tiny", "--push", "--json")
    desk.hub.fail(Fault("commit", 500))
    assert desk.run(*command).error["type"] == "PushFailed"
    written = (desk.folder / "tiny-spin" / "spin" / "spin.json").stat().st_mtime_ns
    desk.hub.reset_traffic()
    again = desk.run(*command)
    assert "it is pushed as it is" in again.notes
    assert in_repo(desk.hub) == as_pushed(desk.folder / "tiny-spin")
    assert (desk.folder / "tiny-spin" / "spin" / "spin.json").stat().st_mtime_ns == written
    assert desk.hub.traffic["put"].bytes_in == 0
