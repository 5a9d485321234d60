"""Errors of the Hub, and of what is pushed to it."""

from spin_hub.errors.base import SpinHubError


class NotLoggedIn(SpinHubError):
    """No token, where one is needed. Facts: page."""

    sentence = "There is no token of the Hub here, so nothing can be pushed."
    advice = "Log in with `hf auth login`, or set HF_TOKEN; a token that may write is made at {page}."


class TokenRefused(SpinHubError):
    """A token that the Hub does not know. Facts: page."""

    sentence = "The Hub does not accept the token that is set here."
    advice = "Log in again with `hf auth login`, or set HF_TOKEN to a valid one from {page}."


class HubSilent(SpinHubError):
    """The Hub does not answer a question that no cache can. Facts: what, why."""

    sentence = "The Hub could not be asked {what}: {why}."
    advice = "Check the network (and HF_ENDPOINT and HF_HUB_OFFLINE), then run the same command again."


class RangesIgnored(SpinHubError):
    """An endpoint that sends whole files where a piece is asked for. Facts: repo_id."""

    sentence = "The endpoint sends whole files of {repo_id} where pieces of them are asked for."
    advice = "Leave out --quick: the full check reads whole files."


class WriteDenied(SpinHubError):
    """A token or account that may not write to a repo. Facts: repo_id, why, page."""

    sentence = "The token may not write to {repo_id}: {why}."
    advice = "Use a token that may write (see {page}), or name another repo with --repo-id."


class RepoNameRefused(SpinHubError):
    """A name that the Hub does not allow for a model. Facts: repo_id, why."""

    sentence = "{repo_id!r} cannot be the name of a model repo: {why}."
    advice = "Name one with --repo-id, such as you/My-Model-spin."


class NotOurRepo(SpinHubError):
    """A repo that spin-hub did not make. Facts: repo_id, holds."""

    sentence = "{repo_id} exists and was not made by spin-hub (it holds {holds})."
    advice = "Name another with --repo-id, or add --yes to push into it all the same."


class VisibilityDiffers(SpinHubError):
    """A repo that exists with another visibility than asked for. Facts: repo_id, here, asked, page."""

    sentence = "{repo_id} exists and is {here}, but {asked} is asked for."
    advice = "Change it at {page}/settings first, or leave the option out."


class CardRefused(SpinHubError):
    """Card metadata that the Hub's validator does not accept. Facts: why."""

    sentence = "The Hub does not accept the card's metadata: {why}."
    advice = "Mend the metadata of the base's card or of your own part of the README, and run the command again."


class BranchNotFound(SpinHubError):
    """A branch that a repo lacks. Facts: repo_id, branch."""

    sentence = "{repo_id} has no branch {branch!r}, and none can be begun there."
    advice = "Leave out --branch to push to main."


class TagTaken(SpinHubError):
    """A tag that means another commit. Facts: repo_id, tag."""

    sentence = "{repo_id} has the tag {tag!r} already, and it means another commit."
    advice = "Choose another name with --tag, or remove that tag first."


class RepoMoved(SpinHubError):
    """Somebody else committed while a push was on its way. Facts: repo_id."""

    sentence = "{repo_id} was changed by somebody else during the push; nothing of it was overwritten."
    advice = "Look at the change, then run the same command again."


class PushFailed(SpinHubError):
    """A push that did not arrive. Facts: repo_id, why."""

    sentence = "The push to {repo_id} failed: {why}. The repo is as it was."
    advice = "Run the same command again: nothing is computed twice, and files that have arrived are not sent again."


class PushUnproven(SpinHubError):
    """A commit that does not hold what was sent. Facts: repo_id, commit, files."""

    sentence = "{repo_id} at {commit} does not hold what was pushed: {files}."
    advice = "Run the same command again; if that does not help, look at the repo's files."


class NotPushable(SpinHubError):
    """A folder that is no whole edited model or delta. Facts: path, why."""

    sentence = "{path} cannot be pushed: {why}."
    advice = "Push a folder that `spin-hub edit`, `select` or `apply` wrote."


class BeyondLimits(SpinHubError):
    """An edit that costs more than its limits, and was to be pushed. Facts: path, why."""

    sentence = "Nothing was pushed, because {why}"
    advice = "The edit is in {path}. Choose other ratios, or push it with `spin-hub push`."


class CardFailed(SpinHubError):
    """A card's template asks for something that the record does not have. Facts: why."""

    sentence = "The card cannot be written: {why}."
    advice = "The record and the templates are of different versions; write the record again with this version."
