"""spin-hub sweep."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spin_hub.cli import options as o
from spin_hub.recipe import DEFAULT_SCORE

if TYPE_CHECKING:
    from spin_hub.cli.console import Screen

_GRID = "Grid"

Ps = Annotated[
    list[float] | None, typer.Option("--p", help="A ratio of general; may be repeated.", rich_help_panel=_GRID)
]
Qs = Annotated[
    list[float] | None, typer.Option("--q", help="A ratio of the other sets; may be repeated.", rich_help_panel=_GRID)
]
Parts = Annotated[
    list[str] | None,
    typer.Option("--part", help="mlp, self_attn, or a pattern of parameters; may be repeated.", rich_help_panel=_GRID),
]
Layers = Annotated[
    list[str] | None, typer.Option("--layers", help="7 or 4-11; may be repeated.", rich_help_panel=_GRID)
]


def sweep(
    model: Annotated[str, typer.Argument(help="A model (a folder or Hub id), or a ranking that score wrote.")],
    base: Annotated[str | None, typer.Option(help="Of a ranking, the model.", rich_help_panel=_GRID)] = None,
    p: Ps = None,
    q: Qs = None,
    rule: o.Rules = None,
    select: o.Select = None,
    part: Parts = None,
    layers: Layers = None,
    pick: Annotated[
        str | None,
        typer.Option(metavar="best|knee|ROW", help="Write the delta of this edit.", rich_help_panel=_GRID),
    ] = None,
    keep: Annotated[
        float | None, typer.Option(metavar="R", help="Score up to this ratio.", rich_help_panel="Scoring")
    ] = None,
    privacy: o.Privacy = None,
    fairness: o.Fairness = None,
    general: o.General = None,
    sets: o.Sets = None,
    samples: o.Samples = None,
    seed: o.Seed = 0,
    tokenization: o.TokenizationOption = None,
    chat_template: o.ChatTemplate = False,
    template_date: o.TemplateDate = None,
    max_length: o.MaxLength = None,
    strict_rows: o.StrictRows = False,
    target: o.Target = "mlp",
    score: o.ScoreOption = DEFAULT_SCORE,
    accumulate: o.AccumulateOption = None,
    device: o.DeviceOption = "auto",
    dtype: o.DTypeOption = "auto",
    engine: o.EngineOption = "auto",
    max_memory: o.MaxMemory = None,
    resumable: o.Resumable = False,
    trust_remote_code: o.TrustRemoteCode = False,
    max_kl: o.MaxKl = 0.05,
    max_perplexity_ratio: o.MaxPerplexityRatio = 1.05,
    output: o.Output = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    help_all: o.HelpAll = False,
) -> None:
    """Try many edits out, and show what each costs and gains.

    Each is switched on in memory, measured, and switched off. The same command
    goes on with a sweep that was broken off.

    Examples:

        spin-hub sweep ./my-model

        spin-hub sweep ranking.safetensors --base ./my-model --q 1e-3 --q 1e-2 --p 5e-2

        spin-hub sweep ./my-model --layers 0-9 --layers 10-19 --pick best
    """
    options = dict(locals())

    from spin_hub.cli.console import Screen
    from spin_hub.workflows.requests import sweep_request

    screen, request = Screen(as_json, quiet), sweep_request(model, options)
    from spin_hub.workflows.sweep import sweep as run

    outcome = run(request, screen.reporter)
    data = outcome.to_json()
    screen.result(data, outcome.delta.output if outcome.delta else outcome.output, lambda: _show(screen, data))


def _show(screen: "Screen", data: Mapping[str, Any]) -> None:
    """Show every edit that was tried: its cost, what it gains, and which are on the front."""
    names = {data["best"]: "best", data["knee"]: "knee"} | (
        {data["best"]: "best, knee"} if data["best"] == data["knee"] else {}
    )
    parts = len({row["part"] for row in data["rows"]}) > 1
    measured = [row for row in data["rows"] if not row["why"]]
    shift, unit = _shifts([row["gain"]["value"] for row in measured])
    ratio = f".{_decimals((row['perplexity_ratio'] for row in measured), least=3)}f"
    body = []
    for row in data["rows"]:
        p, q = (row["ratios"].get(name) for name in ("general", "fairness"))
        head = (str(row["row"]), *([row["part"]] if parts else []), *("-" if r is None else f"{r:g}" for r in (p, q)))
        if row["why"]:
            body.append((*head, f"{row['weights']:,}", *[""] * 5, row["why"]))
            continue
        mark = names.get(row["row"], "front" if row["row"] in data["front"] else "")
        figures = (f"{row['kl']:.2g}", f"{row['perplexity_ratio']:{ratio}}")
        shifts = ("" if (v := row["gain"][name]) is None else shift(v) for name in ("value", "low", "high"))
        body.append((*head, f"{row['weights']:,}", *figures, *shifts, mark))
    header = ("row", *(["part"] if parts else []), "p", "q", "weights", "KL", "ppl x", "shift", "from", "to", "")
    screen.table(header, body)
    screen.line("")
    facts = [
        ("shift", f"of the answers to the aware ones, {unit}nats per token, with its 95 % interval"),
        ("folder", data["output"]),
    ]
    if data["picked"]:
        facts = [("picked", f"row {data['picked']}. {data['why']}"), ("delta", data["delta"]), *facts]
    screen.facts("", facts)


def _shifts(values: Sequence[float]) -> tuple[Callable[[float], str], str]:
    """Return how shifts are printed so that different ones differ, and the unit: ``1e-6 `` if all are tiny."""
    largest = max(map(abs, values), default=0.0)
    exponent = 3 * math.floor(math.log10(largest) / 3) if 0 < largest < 1e-3 else 0
    scale = 10.0**-exponent
    digits = _decimals((value * scale for value in values), least=1 if exponent else 3)
    return (lambda value: f"{value * scale:+.{digits}f}"), (f"1e{exponent} " if exponent else "")


def _decimals(values: Iterable[float], least: int) -> int:
    """Return the number of decimals, up to 6, with which different values differ in print."""
    distinct = set(values)
    tried = range(least, 6)
    return next((number for number in tried if len({f"{v:.{number}f}" for v in distinct}) == len(distinct)), 6)
