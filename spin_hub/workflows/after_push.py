"""After a push: what is on the Hub now, looked at once more against base and delta, as anybody else would."""

from dataclasses import replace

from spin_hub.artifacts.publish import PushOptions
from spin_hub.artifacts.write import Outcome
from spin_hub.errors import BaseNotNamed, SpinHubError
from spin_hub.hub.resolve import ModelSource
from spin_hub.progress import Reporter
from spin_hub.workflows.verify import VerifyOptions, verify


def verified(outcome: Outcome, options: PushOptions, base: ModelSource | None, reporter: Reporter) -> Outcome:
    """The outcome of a push with what a quick verification of its commit says.

    The push has happened: what hinders the verification is a warning.

    Args:
        outcome: of the push.
        options: whether it is wanted.
        base: the base where it is at hand; a Hub base is looked at there, and read from the cache.
        reporter: told of progress.
    """
    pushed = outcome.pushed
    if pushed is None or not options.verify:
        return outcome
    folder = str(base.folder) if base and base.repo_id is None else None
    name = f"{pushed.repo_id}@{pushed.commit}"
    try:
        found = verify(name, VerifyOptions(folder, None, quick=True), reporter)
    except BaseNotNamed:
        command = f"`spin-hub verify {pushed.repo_id} --base FOLDER`"
        reporter.note(f"{pushed.repo_id} was not verified, for its base is a local folder: {command} does it.")
        return outcome
    except (SpinHubError, OSError) as error:
        why = error.message if isinstance(error, SpinHubError) else str(error)
        return replace(outcome, warnings=(*outcome.warnings, f"{name} was pushed, but not verified. {why}"))
    return replace(outcome, verification=found)
