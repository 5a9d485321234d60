"""Publishing a folder: everything is checked before any work, then one commit brings it to the Hub."""

import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spin_hub.artifacts.base_model import Base
from spin_hub.artifacts.delta_file import NAME as DELTA
from spin_hub.artifacts.open import read_card
from spin_hub.artifacts.write import default_name
from spin_hub.core.files import README, SHARDED, split_names
from spin_hub.errors import NotOurRepo, SpinHubError, TagTaken, UsageError, VisibilityDiffers
from spin_hub.hub.changes import Changes, Content, Origin, changes_for
from spin_hub.hub.commit import Pushed, Target, page_of
from spin_hub.hub.push import push, set_tag, validate_card
from spin_hub.hub.remote_repo import MAIN, BaseRepo, RemoteRepo, check_name, look_at, look_at_base
from spin_hub.hub.token import Account, check_writable
from spin_hub.kinds import Kind, kind_of
from spin_hub.model_cards.licences import terms_of
from spin_hub.model_cards.render import joined, render_card
from spin_hub.progress import Reporter, step
from spin_hub.record import ModelRecord, Record
from spin_hub.units import human_bytes
from spin_hub.version import __version__

_AT_ONCE: Final = 4
_LOADABLE: Final = frozenset({"config.json", "adapter_config.json", "generation_config.json"})
"""Names that would make a delta's repo look like a model that can be loaded."""

_REFERENCE: Final = re.compile(r"(?!.*(\.\.|//|/\.|@\{|\.lock(/|$)))[^\s~^:?*\[\\/.-][^\s~^:?*\[\\]*(?<![/.])")
"""What git allows as the name of a branch or a tag, but for control characters."""

_SMALL_UPLOAD: Final = 1 << 20
"""Room in which the delta, its record, the card and the plot surely fit, in bytes."""


@dataclass(frozen=True)
class PushOptions:
    """Options of a push.

    Attributes:
        repo_id: ``owner/name``, or a name under the token's account; None takes the base's name with a suffix.
        private: of a new repo; None makes it private where the base is closed, else leaves it to the owner's default.
        create_pr: open a pull request instead of committing to a branch.
        branch: ``main`` by default.
        message: of the commit.
        tag: a name for the commit.
        yes: push into a repo that spin-hub did not make.
        verify: look at the commit afterwards, against base and delta.

    Raises:
        UsageError: options that contradict each other.
    """

    repo_id: str | None = None
    private: bool | None = None
    create_pr: bool = False
    branch: str | None = None
    message: str | None = None
    tag: str | None = None
    yes: bool = False
    verify: bool = True

    def __post_init__(self) -> None:
        if self.create_pr and (self.branch or self.tag):
            other = "--branch" if self.branch else "--tag"
            raise UsageError(message=f"--create-pr makes a commit of its own and cannot be combined with {other}.")
        for option, text in (("--repo-id", self.repo_id), ("--message", self.message)):
            if text is not None and not text.strip():
                raise UsageError(message=f"{option} is empty.")
        for option, name in (("--branch", self.branch), ("--tag", self.tag)):
            if name is not None and not _REFERENCE.fullmatch(name):
                raise UsageError(message=f"{option} {name!r} is not a name that git allows.")


@dataclass(frozen=True)
class Publication:
    """A push that may go ahead: the repo, what it holds, and what its base's repo holds."""

    options: PushOptions
    repo_id: str
    remote: RemoteRepo | None
    private: bool | None
    base: BaseRepo | None
    own: bool = True

    @property
    def visibility(self) -> str:
        """Who will see the repo: ``public`` or ``private``; of a new one, an organisation may decide that by itself."""
        if self.remote:
            return self.remote.visibility
        if self.private is None and not self.own:
            return f"public, unless {self.repo_id.partition('/')[0]} makes new repos private"
        return "private" if self.private else "public"

    def card(self, record: Record, local: str | None = None) -> str:
        """The README as it will be pushed: what people wrote is kept, here and in the repo."""
        theirs = (self.remote.card, self.remote.record) if self.remote else (None, None)
        return render_card(record, joined((local, record), theirs, self.repo_id), self.repo_id)


def prepare(who: Account, options: PushOptions, kind: str, model: ModelRecord, reporter: Reporter) -> Publication:
    """Check token, role, name, repo and licence before anything is computed; nothing is changed on the Hub.

    Args:
        who: pushes.
        options: of the push.
        kind: what will be pushed.
        model: the base: its name, Hub id, commit and card are read.
        reporter: called with what the user should know beforehand.

    Raises:
        WriteDenied: the token.
        RepoNameRefused, NotOurRepo, VisibilityDiffers: the repo.
        HubSilent: no answer.
    """
    repo_id = options.repo_id or default_name(model.name, model.card, kind)
    repo_id = repo_id if "/" in repo_id else f"{who.name}/{repo_id}"
    check_name(repo_id)
    who.check_write(repo_id, options.create_pr)
    with step(reporter, "Looking at the repo"):
        remote = look_at(repo_id, options.branch or MAIN, tags=options.tag is not None)
    if remote is None:
        if doubt := who.check_write(repo_id):
            reporter.note(f"Careful: {doubt}; whether {repo_id} may be created there is known when it is pushed.")
    else:
        repo_id = remote.repo_id
        if doubt := who.check_write(repo_id, options.create_pr):
            check_writable(repo_id, doubt)
        _check_repo(remote, options)
    with step(reporter, "Looking at the base's repo"):
        base = look_at_base(model.repo_id, model.commit) if model.repo_id else None
    private = options.private
    if base and base.closed and remote is None and private is None:
        private = True
        reporter.note(f"The base is {base.closed}, so {repo_id} will be private (--public makes it public).")
    elif base and base.closed and not (remote.private if remote else private):
        reporter.note(f"Careful: the base is {base.closed}, but {repo_id} is public; its terms may not allow that.")
    terms = terms_of(model.card)
    if terms:
        reporter.note(terms.note + " This is a reminder, not legal advice.")
        if terms.prefix and not repo_id.partition("/")[2].startswith(terms.prefix):
            reporter.note(f"The name {repo_id.partition('/')[2]} does not begin with '{terms.prefix}'.")
    return Publication(options, repo_id, remote, private, base, own=repo_id.partition("/")[0] == who.name)


def most_to_upload(publication: Publication, base: Base, kind: str) -> int:
    """Bytes that a push has to send at most: an edit may touch every shard; other large files the Hub can copy."""
    if not kind_of(kind).whole:
        return _SMALL_UPLOAD
    there = publication.base.files if publication.base else {}
    others = set(base.contents.kept) - set(base.index.shards)
    copied = sum(file.size for name, file in there.items() if file.copyable and name in others)
    return base.copy_bytes - copied + _SMALL_UPLOAD


def check_card(publication: Publication, record: Record, local: str | None = None) -> None:
    """Have the Hub validate the card's metadata; its figures may still be missing.

    Raises:
        CardRefused: the Hub does not accept them.
    """
    validate_card(publication.card(record, local))


def publish(
    publication: Publication, folder: Path, record: Record, reporter: Reporter, finished: bool = True
) -> Pushed:
    """Bring a folder to the Hub in one commit.

    Args:
        publication: what was prepared.
        folder: the output.
        record: of the output.
        reporter: called with progress.
        finished: the folder is an output that was just made, of which an error says where it is.

    Raises:
        SpinHubError: the push did not arrive; the folder stays, and the same command goes on.
    """
    try:
        return _publish(publication, folder, record, reporter)
    except SpinHubError as error:
        if finished:
            private = ["--private"] if publication.private else []
            again = shlex.join(["spin-hub", "push", str(folder), "--repo-id", publication.repo_id, *private])
            error.hint = f"{error.hint} The output is finished, in {folder}: `{again}` pushes it.".strip()
        raise


def _publish(publication: Publication, folder: Path, record: Record, reporter: Reporter) -> Pushed:
    changes = _changes(publication, folder, record, reporter)
    options, repo_id, remote = publication.options, publication.repo_id, publication.remote
    branch = options.branch or MAIN
    if changes.nothing and remote and remote.branch_exists:
        reporter.note(f"{repo_id} holds all of it already; nothing was sent.")
        pushed = Pushed(repo_id, remote.commit, page_of(repo_id, branch), None, 0, changed=False)
    else:
        if options.tag and remote and options.tag in remote.tags and not changes.nothing:
            raise TagTaken(repo_id=repo_id, tag=options.tag)
        copied = f", {len(changes.copied)} copied on the Hub" if changes.copied else ""
        files = f"{len(changes.sent)} files, {len(changes.same)} unchanged{copied}"
        reporter.note(f"Pushing to {repo_id}: {files}; {human_bytes(changes.upload)} to upload at most.")
        base = record.model.repo_id or record.model.name
        usual = f"Set {record.result.weights:,} weights of {base} to zero (spin-hub {__version__})"
        message = options.message or usual
        target = Target(repo_id, remote, publication.private, branch, options.create_pr, message)
        with step(reporter, "Pushing"):
            pushed = push(target, changes, reporter.note)
    if options.tag:
        with step(reporter, "Tagging the commit"):
            set_tag(repo_id, options.tag, pushed.commit)
    return pushed


def _check_repo(remote: RemoteRepo, options: PushOptions) -> None:
    if not (remote.ours or options.yes or options.create_pr):
        names = sorted(remote.files)
        holds = f"{len(names)} files, such as {', '.join(names[:2])}"
        raise NotOurRepo(repo_id=remote.repo_id, holds=holds)
    if options.private is not None and options.private != remote.private:
        asked = "private" if options.private else "public"
        page = page_of(remote.repo_id)
        raise VisibilityDiffers(repo_id=remote.repo_id, here=remote.visibility, asked=asked, page=page)
    if options.tag and remote.tags.get(options.tag, remote.commit) != remote.commit:
        raise TagTaken(repo_id=remote.repo_id, tag=options.tag)


def _changes(publication: Publication, folder: Path, record: Record, reporter: Reporter) -> Changes:
    names = _names(folder, record.facts)
    total = sum((folder / name).stat().st_size for name in names)
    with reporter.task("Hashing what is pushed", total, "bytes") as advance:

        def content(name: str) -> Content:
            found = Content.of(name, folder / name)
            advance(found.size)
            return found

        # The client reads fresh blocks, which the allocator keeps for every thread.
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            files = dict(zip(names, pool.map(content, names), strict=True))
    text = publication.card(record, read_card(folder)).encode()
    files[README] = Content.of(README, text)
    base, model, remote = publication.base, record.model, publication.remote
    origins = {
        name: Origin(str(model.repo_id), str(model.commit), name)
        for name, content in files.items()
        if base and model.commit and (there := base.files.get(name)) and there.copyable
        if there.sha256 == content.sha256
    }
    changes = changes_for(remote, files, origins, remote.brought if remote and remote.ours else ())
    rivals = [name for name in remote.weights if name not in (*files, *changes.deleted)] if remote else []
    if rivals:
        reporter.note(f"Careful: {publication.repo_id} keeps {rivals[0]}, which may be loaded in place of the edit.")
    return changes


def _names(folder: Path, kind: Kind) -> list[str]:
    """The files of an output that are published: visible ones, and none that may hold unedited twins."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    if not kind.folder:
        kept = split_names(names, (DELTA,)).kept
        return [name for name in kept if name not in _LOADABLE and "/" not in name]
    weights = [name for name in names if "/" not in name and (name.endswith(".safetensors") or name == SHARDED)]
    spin = [name for name in names if name.startswith(kind.folder) and "/." not in name]
    kept = split_names(names, weights).kept
    own = [name for name in kind.files if name in names and name not in kept]
    return [*kept, *own, *sorted(spin)]
