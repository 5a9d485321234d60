"""The sources use nothing that only some systems have, except where another way is beside it."""

import ast
import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
FOLDERS: Final = ("spin_hub", "cli", "model_cards")

MODULES: Final = {
    "fcntl": "POSIX; a lock that every system has is a file made with mode x",
    "grp": "POSIX",
    "msvcrt": "Windows",
    "posix": "POSIX",
    "pty": "POSIX",
    "pwd": "POSIX; Path.home() asks every system",
    "resource": "POSIX",
    "syslog": "POSIX",
    "termios": "POSIX",
    "tty": "POSIX",
    "winreg": "Windows",
}
CALLS: Final = {
    "os": {
        "O_DIRECTORY": "POSIX; Windows opens no folder",
        "O_NOFOLLOW": "POSIX",
        "O_TMPFILE": "Linux; tempfile.TemporaryFile",
        "chmod": "Windows knows only read-only",
        "chown": "POSIX",
        "copy_file_range": "Linux; checkpoint.system.copy_in_kernel",
        "fchmod": "POSIX",
        "fork": "POSIX; subprocess",
        "fsync": "Windows has none for a folder",
        "getegid": "POSIX",
        "geteuid": "POSIX",
        "getgid": "POSIX",
        "getloadavg": "POSIX",
        "getpgid": "POSIX",
        "getppid": "the parent's number outlives it on Windows",
        "getuid": "POSIX",
        "kill": "ends processes on Windows, and 0 sends Ctrl-C; checkpoint.system.process_lives",
        "killpg": "POSIX",
        "link": "FAT and exFAT have none",
        "mkfifo": "POSIX",
        "posix_fadvise": "Linux",
        "posix_fallocate": "Linux",
        "pread": "POSIX; checkpoint.system.read_at",
        "preadv": "POSIX",
        "pwrite": "POSIX; checkpoint.system.write_at",
        "pwritev": "POSIX",
        "sched_getaffinity": "Linux",
        "sched_setaffinity": "Linux",
        "sendfile": "POSIX; checkpoint.patch.copy_file",
        "setsid": "POSIX",
        "statvfs": "POSIX; shutil.disk_usage",
        "symlink": "needs a privilege on Windows",
        "sync": "POSIX",
        "sysconf": "POSIX; os.cpu_count, psutil",
        "umask": "Windows ignores most of it",
        "uname": "POSIX; platform.uname",
        "wait": "POSIX; subprocess",
        "waitpid": "differs on Windows; subprocess",
    },
    "signal": dict.fromkeys(
        ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGUSR1", "SIGUSR2"),
        "Windows never delivers it",
    )
    | dict.fromkeys(("alarm", "pause", "pthread_sigmask", "setitimer", "sigwait"), "POSIX"),
    "mmap": {"MAP_SHARED": "POSIX", "MAP_PRIVATE": "POSIX", "PROT_READ": "POSIX; ACCESS_READ"},
    "time": {"clock_gettime": "POSIX; time.monotonic", "tzset": "POSIX"},
    "ctypes": {"WinDLL": "Windows", "windll": "Windows", "get_last_error": "Windows"},
    "locale": {"getdefaultlocale": "deprecated", "nl_langinfo": "POSIX"},
    "shutil": {"chown": "POSIX"},
    "multiprocessing": {"Process": "starts by fork, spawn or forkserver, by system and version"},
}
METHODS: Final = {
    "chmod": "Windows knows only read-only",
    "hardlink_to": "FAT and exFAT have none",
    "is_mount": "Windows",
    "lchmod": "POSIX",
    "owner": "POSIX",
    "symlink_to": "needs a privilege on Windows",
}
ATTRIBUTES: Final = {
    "f_bavail": "POSIX; shutil.disk_usage",
    "st_blocks": "POSIX",
    "st_gid": "POSIX",
    "st_ino": "some Windows file systems make it up",
    "st_uid": "POSIX",
    "st_ctime": "the time of creation on Windows",
    "st_ctime_ns": "the time of creation on Windows",
}
ERRNO: Final = {
    "EACCES", "EBADF", "EBUSY", "EDQUOT", "EEXIST", "EFBIG", "EINVAL", "EIO", "EISDIR", "ELOOP", "EMFILE",
    "ENAMETOOLONG", "ENFILE", "ENOENT", "ENOMEM", "ENOSPC", "ENOSYS", "ENOTDIR", "ENOTEMPTY", "EOPNOTSUPP", "EPERM",
    "EROFS", "ESTALE", "EXDEV",
}  # fmt: skip
"""Those that Python defines on all three systems, as far as they are used."""

FORMATS: Final = ("%-", "%e", "%s")
"""Of strftime: unknown to Windows."""

OPENERS: Final = {"open": "r", "fdopen": "r", "NamedTemporaryFile": "w+b", "TemporaryFile": "w+b"}
"""With the mode that they take by default."""

TEXTS: Final = {"read_text": 0, "write_text": 1}
"""Methods of paths, with how many arguments come before the encoding."""

SEAM: Final = {
    ("spin_hub/checkpoint/system.py", "os.copy_file_range"): "else blocks are read and written",
    ("spin_hub/checkpoint/system.py", "os.pread"): "else seek and read",
    ("spin_hub/checkpoint/system.py", "os.pwrite"): "else seek and write",
    ("spin_hub/checkpoint/system.py", ".chmod"): "nothing to do on Windows",
    ("spin_hub/artifacts/container.py", ".chmod"): "to the mode that the file had: nothing to do on Windows",
    ("spin_hub/checkpoint/digests.py", ".st_ino"): "beside size and time, and only to save a reading",
    ("spin_hub/checkpoint/digests.py", ".st_ctime"): "beside the time of change",
    ("spin_hub/checkpoint/digests.py", ".st_ctime_ns"): "beside size and time, and only to save a reading",
    ("model_cards/body.py", "backslash"): "an escape of Markdown",
    ("spin_hub/data/hub_tables.py", ".symlink_to"): "else the file is copied",
    ("cli/progress.py", "resource"): "not on Windows, where no peak is shown",
    ("spin_hub/doctor/processor.py", "the path /proc/cpuinfo"): "else sysctl or platform.processor",
    ("spin_hub/doctor/devices.py", "the path /proc/driver/nvidia/version"): "else nvidia-smi",
    ("spin_hub/metrics/vllm_backend.py", "write_text without a newline"): "JSON that this program reads again",
    ("spin_hub/metrics/vllm_worker.py", "write_text without a newline"): "JSON that this program reads again",
}
"""What is used all the same: file and name -> the other way, or why it does no harm."""


def sources() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def used(tree: ast.Module) -> Iterator[str]:
    """The names of what a source uses that not every system has, or has alike."""
    nodes = list(ast.walk(tree))
    modules = {
        alias.asname or alias.name: alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    }
    # Texts that are statements of their own: they are documentation.
    documents = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        match node:
            case ast.Import() | ast.ImportFrom():
                yield from of_import(node)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in modules:
                yield from of_module(modules[name], attribute)
            case ast.Subscript(value=ast.Call(func=ast.Name(id="vars"), args=[ast.Name(id=name)])):
                yield from of_module(modules.get(name, ""), getattr(node.slice, "value", None))
            case ast.Attribute(attr=attribute) if attribute in ATTRIBUTES:
                yield f".{attribute}"
            case ast.Call():
                yield from of_call(node, modules)
            case ast.Constant(value=str(text)) if id(node) not in documents:
                yield from of_text(text)


def of_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.Import):
        yield from (name for name in names if name in MODULES)
        return
    module = node.module or ""
    if module in MODULES:
        yield module
    for name in names:
        yield from of_module(module, name)


def of_module(module: str, name: str | None) -> Iterator[str]:
    if name in CALLS.get(module, {}) or (module == "errno" and name not in ERRNO):
        yield f"{module}.{name}"


def of_call(call: ast.Call, modules: dict[str, str]) -> Iterator[str]:
    named = {keyword.arg for keyword in call.keywords}
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    holder = getattr(getattr(call.func, "value", None), "id", None)
    if name in OPENERS and holder not in {"os", "Image"}:
        yield from of_opener(call, name, named)
    if name in TEXTS:
        yield from of_text_method(call, name, named)
    if name in METHODS and holder not in modules:
        yield f".{name}"
    if name == "TemporaryDirectory" and "ignore_cleanup_errors" not in named:
        yield "TemporaryDirectory without ignore_cleanup_errors"
    if name == "strftime" and any(form in ast.unparse(call) for form in FORMATS):
        yield "strftime of one system"
    if {"preexec_fn", "start_new_session", "pass_fds"} & named:
        yield "subprocess options of POSIX"


def of_opener(call: ast.Call, name: str, named: set[str | None]) -> Iterator[str]:
    """Of text files; where the mode is computed nothing is known."""
    is_function = isinstance(call.func, ast.Name) and name == "open"
    modes = call.args[is_function:][:1] + [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    mode = OPENERS[name] if not modes else getattr(modes[0], "value", None)
    if not isinstance(mode, str) or "b" in mode:
        return
    if "encoding" not in named:
        yield "open without an encoding"
    if set(mode) & set("wxa+") and "newline" not in named:
        yield "open without a newline"


def of_text_method(call: ast.Call, name: str, named: set[str | None]) -> Iterator[str]:
    if len(call.args) <= TEXTS[name] and "encoding" not in named and not isinstance(call.func, ast.Name):
        yield f"{name} without an encoding"
    if name == "write_text" and "newline" not in named:
        yield "write_text without a newline"


def of_text(text: str) -> Iterator[str]:
    if text.startswith(("/tmp", "/var/", "/dev/", "/proc", "/etc", "/usr", "/home")):
        yield f"the path {text}"
    if text == "\\" or re.match(r"[a-zA-Z]:\\", text):
        yield "backslash"


def everything() -> set[tuple[str, str]]:
    return {(path.relative_to(ROOT).as_posix(), name) for path in sources() for name in used(tree_of(path))}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), feature_version=(3, 11))


def reason(name: str) -> str:
    module, _, attribute = name.partition(".")
    known = CALLS.get(module, MODULES) if module else METHODS | ATTRIBUTES
    return known.get(attribute or module, "see docs/platforms.md")


def test_nothing_is_used_that_only_some_systems_have():
    wrong = sorted(everything() - SEAM.keys())
    assert not wrong, "\n".join(f"{place}: {name} ({reason(name)})" for place, name in wrong)


def test_no_exception_is_left_over():
    assert not SEAM.keys() - everything()


def test_the_error_codes_are_known_here():
    assert {name for name in ERRNO if hasattr(errno, name)} == ERRNO


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import fcntl", "fcntl"),
        ("from resource import getrusage", "resource"),
        ("import os\nos.pwrite(1, b'', 0)", "os.pwrite"),
        ("import os as system\nsystem.fork()", "os.fork"),
        ("from os import kill", "os.kill"),
        ("import signal\nsignal.signal(signal.SIGHUP, f)", "signal.SIGHUP"),
        ("import ctypes\nvars(ctypes)['windll']", "ctypes.windll"),
        ("import errno\nerrno.EREMOTEIO", "errno.EREMOTEIO"),
        ("path.stat().st_ino", ".st_ino"),
        ("path.symlink_to(other)", ".symlink_to"),
        ("(folder / 'x').chmod(0o600)", ".chmod"),
        ("open(path)", "open without an encoding"),
        ("path.open()", "open without an encoding"),
        ("path.open('w', encoding='utf-8')", "open without a newline"),
        ("open(path, mode='a', newline='')", "open without an encoding"),
        ("tempfile.NamedTemporaryFile('w', newline='')", "open without an encoding"),
        ("path.read_text()", "read_text without an encoding"),
        ("path.write_text(text)", "write_text without an encoding"),
        ("path.write_text(text, 'utf-8')", "write_text without a newline"),
        ("tempfile.TemporaryDirectory()", "TemporaryDirectory without ignore_cleanup_errors"),
        ("now.strftime('%-d')", "strftime of one system"),
        ("subprocess.run(command, preexec_fn=f)", "subprocess options of POSIX"),
        ("path = '/tmp/x'", "the path /tmp/x"),
        (r"parts = name.split('\\')", "backslash"),
        (r"place = 'C:\\models'", "backslash"),
    ],
)
def test_what_is_found(source, name):
    assert name in set(used(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.replace(a, b)",
        "import signal\nsignal.signal(signal.SIGTERM, f)",
        "open(path, 'rb')",
        "path.open('r+b', buffering=0)",
        "path.open(encoding='utf-8')",
        "path.open('w', encoding='utf-8', newline='')",
        "tempfile.TemporaryFile(dir=folder)",
        "path.read_text('utf-8')",
        "path.write_text(text, 'utf-8', newline='')",
        "open(path, mode)",
        "Image.open(path)",
        "match.group(1)",
        "'''Writes to /tmp.'''",
        r"re.sub('\\d', '', text)",
    ],
)
def test_what_is_not(source):
    assert not set(used(ast.parse(source)))
