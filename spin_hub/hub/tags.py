"""Names for commits."""

from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError

from spin_hub.errors import HubSilent, TagTaken, WriteDenied
from spin_hub.hub.account import tokens_page
from spin_hub.hub.failures import refused, why_not


def set_tag(repo_id: str, tag: str, commit: str) -> None:
    """Names a commit that is there; where it has the name already, nothing is done.

    Raises:
        TagTaken: another commit has the name.
        WriteDenied, HubSilent: the tag was not set, or nobody can tell.
    """
    api = HfApi()
    try:
        known = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo_id).tags}
        if tag not in known:
            api.create_tag(repo_id, tag=tag, revision=commit)
        elif known[tag] != commit:
            raise TagTaken(repo_id=repo_id, tag=tag)
    except (HTTPError, OSError) as error:
        if refused(error):
            why = f"what was pushed is there, but the Hub refuses the tag {tag!r}"
            raise WriteDenied(repo_id=repo_id, why=why, page=tokens_page()) from error
        raise HubSilent(what=f"to tag commit {commit[:12]} of {repo_id} as {tag!r}", why=why_not(error)) from error
