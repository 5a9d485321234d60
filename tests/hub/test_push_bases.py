"""What a push owes to its base: files that the Hub can copy, and who may see the repo."""

import pytest
from pushing import REPO, as_pushed, files_of, in_repo


def test_files_of_the_base_are_copied_on_the_hub(desk, stock):
    desk.hub.state.copies = True
    done = desk.push(stock.edited)
    assert "2 copied on the Hub" in done.notes
    assert in_repo(desk.hub) == as_pushed(stock.edited)
    untouched = [name for name in files_of(stock.edited) if name.startswith(("model-00002", "model-00003"))]
    large = [name for name in files_of(stock.edited) if name.endswith((".safetensors", ".png"))]
    sent = [len(files_of(stock.edited)[name]) for name in large if name not in untouched]
    assert desk.hub.traffic["put"].bytes_in == sum(sent)
    desk.hub.reset_traffic()
    assert desk.push(stock.edited).data["uploaded"] == 0
    assert desk.hub.traffic["copy"].requests == 0


@pytest.mark.parametrize("copies", ["fails", False])
def test_where_nothing_can_be_copied_it_is_uploaded(desk, stock, copies):
    desk.hub.state.copies = copies
    done = desk.push(stock.edited)
    assert ("they are uploaded instead" in done.notes) == (copies == "fails")
    assert in_repo(desk.hub) == as_pushed(stock.edited)
    large = [data for name, data in files_of(stock.edited).items() if name.endswith((".safetensors", ".png"))]
    assert desk.hub.traffic["put"].bytes_in == sum(map(len, large))
    assert len(desk.hub.commits(REPO)) == 2


def test_a_pull_request_elsewhere_is_uploaded_where_copying_is_not_allowed(desk, stock):
    desk.hub.state.copies = True
    desk.hub.put("bob/theirs", {"README.md": "# Theirs\n"})
    done = desk.push(stock.edited, "--create-pr", repo="bob/theirs")
    assert "they are uploaded instead" in done.notes
    files = in_repo(desk.hub, "bob/theirs", "refs/pr/1")
    assert files["model-00002-of-00003.safetensors"] == files_of(stock.edited)["model-00002-of-00003.safetensors"]


@pytest.mark.parametrize("closed", ["gated", "private"])
def test_a_closed_base_makes_the_repo_private_and_says_so(desk, stock, closed):
    setattr(desk.hub.repo("org/tiny"), closed, "manual" if closed == "gated" else True)
    done = desk.push(stock.edited)
    assert done.code == 0, done.stdout
    assert desk.hub.repo(REPO).private
    assert "will be private" in done.notes
    assert "--public" in done.notes
    assert "Careful" not in desk.push(stock.other).notes


@pytest.mark.parametrize("closed", ["gated", "private"])
def test_a_public_copy_of_a_closed_base_is_warned_of(desk, stock, closed):
    repo = desk.hub.repo("org/tiny")
    repo.granted.append("alice")
    setattr(repo, closed, "manual" if closed == "gated" else True)
    desk.hub.move("org/tiny", "acme/tiny")
    done = desk.push(stock.edited, "--public")
    assert not desk.hub.repo(REPO).private
    assert "Careful" in done.notes
    assert "Careful" in desk.push(stock.other).notes


def test_a_base_that_cannot_be_found_may_be_a_private_one(desk, stock):
    desk.hub.delete("org/tiny")
    done = desk.push(stock.edited)
    assert done.code == 0, done.stdout
    assert "will be private" in done.notes
    assert desk.hub.repo(REPO).private
    assert in_repo(desk.hub) == as_pushed(stock.edited)


def test_the_visibility_of_a_repo_is_never_changed(desk, stock):
    desk.push(stock.edited, "--private")
    error = desk.push(stock.other, "--public").error
    assert error["type"] == "VisibilityDiffers"
    assert desk.hub.repo(REPO).private
    assert in_repo(desk.hub) == as_pushed(stock.edited)
    assert desk.push(stock.other).code == 0
    assert desk.hub.repo(REPO).private
