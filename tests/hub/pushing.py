"""What the tests of pushing share: the command line in this process, and how folders and repos compare."""

import contextlib
import hashlib
import importlib
import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import server
import yaml
from huggingface_hub import close_session, constants
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

from spin_hub.cli.app import run

TOKENS = {
    "alice": "hf_AliceWritesForAcme",
    "bob": "hf_BobWritesForHimself",
    "reader": "hf_AliceOnlyReads",
    "narrow": "hf_AliceInOneRepoOnly",
    "nobody": "hf_TokenThatNobodyHas",
}
REPO, THERE = "alice/tiny-spin", "alice/there"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def notes(self) -> str:
        """What people are told on the way, without the breaks of lines."""
        return " ".join(self.stderr.split())

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object of a command that went well."""
        assert self.code == 0, self.stdout + self.stderr
        return json.loads(self.stdout)

    @property
    def error(self) -> dict[str, str]:
        """The error of a command that failed, checked to be one sentence and what to do."""
        assert self.code == 1, self.stdout + self.stderr
        error = json.loads(self.stdout)["error"]
        assert set(error) == {"type", "message", "hint"}
        assert "\n" not in error["message"] + error["hint"]
        assert error["message"].endswith(".") and error["hint"].endswith("."), error
        assert "Traceback" not in self.stderr and "bug of spin-hub" not in self.stdout + self.stderr
        assert "signature=" not in error["message"], "a signed link was shown"
        return error


@dataclass
class Desk:
    """A person's machine: a cache, a working folder and the command line, with one Hub behind them.

    Attributes:
        said: everything that any command wrote.
    """

    hub: server.LocalHub
    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "hf"

    def run(self, *arguments: str | Path, who: str | None = "alice", **environment: str) -> Done:
        """Runs a command line within this process, as the console script does, and catches what it writes."""
        token = {"HF_TOKEN": TOKENS.get(who, who)} if who else {}
        words = [str(argument) for argument in arguments]
        out, err = io.StringIO(), io.StringIO()
        with self.client(err, {**token, **environment}), contextlib.redirect_stdout(out):
            code = run(words)
        done = Done(code, out.getvalue(), err.getvalue())
        self.said += [done.stdout, done.stderr]
        return done

    def push(self, folder: Path, *arguments: str, who: str | None = "alice", repo: str | None = REPO) -> Done:
        named = ("--repo-id", repo) if repo else ()
        return self.run("push", folder, *named, *arguments, "--json", who=who)

    def start(self, *arguments: str | Path, who: str | None = "alice", **more: str) -> subprocess.Popen[str]:
        """Starts a command in a process of its own."""
        environment = {**self.hub.environment(self.home, TOKENS.get(who or "", who)), **more}
        command = [sys.executable, "-m", "spin_hub.cli.app", *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, cwd=self.folder, stdout=pipe, stderr=pipe, text=True)

    def python(self, script: str, *arguments: str, **more: str) -> str:
        """Runs a script in a process of its own, without a token; returns what it prints."""
        environment = {**self.hub.environment(self.home), **more}
        command = [sys.executable, "-c", script, *arguments]
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def finish(self, process: subprocess.Popen[str]) -> Done:
        stdout, stderr = process.communicate(timeout=120)
        self.said += [stdout, stderr]
        return Done(process.returncode, stdout, stderr)

    def places_of_tokens(self) -> list[str]:
        """Where a token can be read: in what was said, or in any file of the machine or the Hub."""
        secrets = [token.encode() for token in TOKENS.values()]
        texts = {f"output {number}": text.encode() for number, text in enumerate(self.said)} | files_of(self.folder)
        return [name for name, text in texts.items() if any(secret in text for secret in secrets)]

    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Everything that a command could change: the repos' references and settings, and the files of the machine."""
        kinds: tuple[Any, ...] = ("model", "dataset")
        repos = [(kind, repo_id, self.hub.repo(repo_id, kind)) for kind in kinds for repo_id in self.hub.repo_ids(kind)]
        files = {name: data for name, data in files_of(self.folder).items() if not name.startswith(("hf/", "storage/"))}
        return {f"{kind} {name}": (dict(repo.refs), repo.private) for kind, name, repo in repos}, files

    def client_here(self, who: str = "alice") -> contextlib.AbstractContextManager[None]:
        """The client in this process for a test's own calls of the library."""
        return self.client(io.StringIO(), {"HF_TOKEN": TOKENS[who]})

    @contextlib.contextmanager
    def client(self, err: io.StringIO, environment: Mapping[str, str]) -> Iterator[None]:
        """The client as if it had been imported in a process with this environment; its own code is untouched."""
        close_session()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        settings = {**self.hub.environment(self.home), "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment}
        wanted = kept | {name: value for name, value in settings.items() if name.startswith("HF_")} | dict(environment)
        handler = logging.StreamHandler(err)
        logger = logging.getLogger("huggingface_hub")
        logger.addHandler(handler)
        with contextlib.ExitStack() as stack:
            stack.enter_context(patch.dict(os.environ, wanted, clear=True))
            stack.enter_context(patch.dict(vars(constants)))
            importlib.reload(constants)
            disable_progress_bars()
            stack.enter_context(contextlib.redirect_stderr(err))
            stack.enter_context(warnings.catch_warnings())
            stack.callback(close_session)
            stack.callback(enable_progress_bars)
            stack.callback(logger.removeHandler, handler)
            warnings.simplefilter("ignore")  # as the console script has it
            yield


def refused(desk: Desk, *arguments: str | Path, kind: str, **options: Any) -> str:
    """Runs a command that must be refused; gives its sentence and hint."""
    before = desk.state()
    error = desk.run(*arguments, "--json", **options).error
    assert error["type"] == kind, error
    assert desk.state() == before
    return f"{error['message']} {error['hint']}"


def front_matter(card: bytes) -> dict[str, Any]:
    return dict(yaml.safe_load(card.decode().split("---\n")[1]))


def as_pushed(folder: Path, repo_id: str = REPO) -> dict[str, bytes]:
    """The files of a folder as a repo should hold them: the card's commands name the repo."""
    files = files_of(folder)
    card = files["README.md"]
    for placeholder in ("path/or/id/of/this/model", "path/to/this/model", "path/to/this/delta"):
        card = card.replace(placeholder.encode(), repo_id.encode())
    return {**files, "README.md": card}


def large(*folders: Path) -> dict[str, int]:
    """The sizes of what travels as large files, by content; a content that several folders hold travels once."""
    names = (".safetensors", ".png")
    contents = {data for folder in folders for name, data in files_of(folder).items() if name.endswith(names)}
    return {hashlib.sha256(data).hexdigest(): len(data) for data in contents}


def in_repo(hub: server.LocalHub, repo_id: str = REPO, revision: str = "main") -> dict[str, bytes]:
    """What a repo holds, but for the file with which the Hub begins every repo."""
    return {name: data for name, data in hub.files(repo_id, revision).items() if name != ".gitattributes"}


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
