"""No token is printed, logged or stored, whatever goes well or wrong. (The fixture ``desk`` looks after every test.)"""

import pytest
from pushing import REPO, TOKENS
from server import Fault


def test_the_token_of_a_file_is_used_and_never_shown(desk, stock):
    """Real processes, so that everything which any library writes is seen."""
    desk.home.mkdir()
    token = desk.home / "token"
    token.write_text(TOKENS["alice"])
    for route, fault in (("push", {}), ("put", {"status": 403}), ("commit", {"status": 401})):
        desk.hub.fail(Fault(route, times=None, message="Invalid credentials in Authorization header", **fault))
        done = desk.finish(desk.start("push", stock.edited, "--repo-id", route, who=None))
        assert done.code == (1 if fault else 0)
        assert "Traceback" not in done.stderr
        assert "signature=" not in done.stderr
        desk.hub.heal()
    token.unlink()
    assert not desk.places_of_tokens()


@pytest.mark.parametrize("who", ["alice", "nobody", "reader"])
def test_the_token_of_the_environment_is_never_shown(desk, stock, who):
    commands = [
        ("push", stock.edited, "--repo-id", REPO),
        ("push", stock.other, "--repo-id", "bob/x", "--json"),
        ("apply", "alice/there", "org/tiny", "-o", "again", "--push", "--quiet"),
        ("env",),
        ("env", "--json"),
    ]
    codes = [desk.run(*command, who=who).code for command in commands]
    assert codes == ([0, 1, 0, 0, 0] if who == "alice" else [1, 1, 1, 0, 0])
    assert all(TOKENS[who] not in text for text in desk.said)


def test_a_token_goes_only_to_the_hub_and_not_to_the_storage(desk, stock):
    desk.hub.state.part_size = 10_000
    assert desk.push(stock.edited, "--private").code == 0
    assert desk.run("revert", REPO, "-o", "back").code == 0
    assert desk.hub.traffic["put"].requests
    assert desk.hub.traffic["resolve"].requests
    assert desk.hub.leaks == []


def test_the_places_of_tokens_are_found(desk):
    """The search itself: a token that is there is found."""
    (desk.folder / "log").write_text(f"token {TOKENS['bob']}")
    assert desk.places_of_tokens() == ["log"]
    (desk.folder / "log").unlink()
    desk.said.append(TOKENS["alice"])
    assert desk.places_of_tokens() == ["output 0"]
    desk.said.clear()
