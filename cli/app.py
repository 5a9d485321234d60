"""The program spin-hub: its commands, put together, and how they end."""

import io
import logging
import os
import signal
import sys
import warnings
from types import FrameType

import typer

from spin_hub.cli.apply import apply
from spin_hub.cli.card import card
from spin_hub.cli.combine import combine
from spin_hub.cli.demo import demo
from spin_hub.cli.diff import diff
from spin_hub.cli.edit import edit
from spin_hub.cli.env import env
from spin_hub.cli.errors import INTERRUPTED, TERMINATED, report
from spin_hub.cli.eval import eval_
from spin_hub.cli.export import export
from spin_hub.cli.inspect import inspect
from spin_hub.cli.list import list_
from spin_hub.cli.options import Command
from spin_hub.cli.push import push
from spin_hub.cli.reproduce import reproduce
from spin_hub.cli.revert import revert
from spin_hub.cli.score import score
from spin_hub.cli.select import select
from spin_hub.cli.sweep import sweep
from spin_hub.cli.verify import verify
from spin_hub.hub.settings import check_endpoint
from spin_hub.version import __version__

_HARMLESS = frozenset({"--help", "-h", "--help-all", "--version"})

app = typer.Typer(
    name="spin-hub",
    help="Edit a language model's coupled fairness/privacy weights without training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)
for _command in (
    edit,
    score,
    select,
    sweep,
    apply,
    revert,
    reproduce,
    verify,
    export,
    push,
    card,
    inspect,
    combine,
    diff,
    demo,
    env,
):
    app.command(cls=Command)(_command)
app.command("list", cls=Command)(list_)
app.command("eval", cls=Command)(eval_)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"spin-hub {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
    debug: bool = typer.Option(False, "--debug", help="Print the traceback of a failure, also with SPIN_HUB_DEBUG=1."),
) -> None:
    """Edit a language model's coupled fairness/privacy weights without training.

    Start with: spin-hub demo
    """


def main() -> None:
    """The console script."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, _terminated)
    _share_cores()
    _prepare_streams()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code; every failure becomes a sentence and a hint."""
    as_json, debug = "--json" in arguments, "--debug" in arguments or bool(os.environ.get("SPIN_HUB_DEBUG"))
    _silence_libraries("--quiet" in arguments)
    words = [word for word in arguments if word != "--debug"]
    try:
        if not _HARMLESS & set(words):
            check_endpoint()  # with an unreadable one neither the Hub's client nor transformers can be imported
        code = int(app(words, prog_name="spin-hub", standalone_mode=False) or 0)
        sys.stdout.flush()
        # The library turns an interruption into its code.
        return report(KeyboardInterrupt(), as_json, debug) if code == INTERRUPTED else code
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code != TERMINATED:
            raise
        return report(error, as_json, debug)


def _share_cores() -> None:
    """Have PyTorch's threads wait for one another for some microseconds before they sleep.

    By default they spin for milliseconds: beside one busy process on two cores scoring fell to a third of its speed,
    with this to half of it, at 7 % of its speed alone (benchmarks/RESULTS.md). Sleeping at once would cost a third.
    The OpenMP library reads it when PyTorch is loaded.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def _prepare_streams() -> None:
    """Write UTF-8 to files and pipes, whatever the system's own encoding is, and to closed streams nothing."""
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.reconfigure(encoding="utf-8")


def _silence_libraries(quiet: bool) -> None:
    """Keep other libraries' bars, advice and telemetry out of the output; they read this when imported."""
    for name, value in {
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_VERBOSITY": "error",
        "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "DATASETS_VERBOSITY": "error",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **({"HF_HUB_DISABLE_PROGRESS_BARS": "1"} if quiet or not sys.stderr.isatty() else {}),
    }.items():
        os.environ.setdefault(name, value)
    # It notes where an offloaded model's parameters are, which is decided here.
    logging.getLogger("accelerate").setLevel(logging.ERROR)


def _terminated(_: int, __: FrameType | None) -> None:
    """Raise an exception, so that everything half-written is removed."""
    raise SystemExit(TERMINATED)


if __name__ == "__main__":
    main()
