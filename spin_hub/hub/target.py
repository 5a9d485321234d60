"""Where a push goes, and what comes of it."""

from dataclasses import dataclass

from huggingface_hub import constants

from spin_hub.hub.remote_repo import MAIN, RemoteRepo


@dataclass(frozen=True)
class Target:
    """Where a commit goes.

    Attributes:
        remote: what was found there; None where the repo has yet to be made.
        private: of a new repo; None leaves it to the owner's default.
        create_pr: whether the commit becomes a pull request.
    """

    repo_id: str
    remote: RemoteRepo | None
    private: bool | None = None
    branch: str = MAIN
    create_pr: bool = False
    message: str = "Push with spin-hub"


@dataclass(frozen=True)
class Pushed:
    """What came of a push: the commit, its page, the pull request's page, and the bytes that travelled.

    ``sent`` counts request bodies; uploads through the Xet protocol do not pass there and are counted by size.
    """

    repo_id: str
    commit: str
    url: str
    pull_request: str | None
    sent: int
    changed: bool


def page_of(repo_id: str, branch: str = MAIN) -> str:
    """The page of a model repo, or of a branch of it."""
    return f"{constants.ENDPOINT}/{repo_id}" + ("" if branch == MAIN else f"/tree/{branch}")
