"""What reads files from strangers: each target takes bytes and may raise SpinHubError alone."""

import io
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from fuzz_seeds import HEAT_COUNTS, VECTORS, records, tokenizer

from spin_hub.artifacts.container import checked
from spin_hub.artifacts.delta_file import NAME as DELTA
from spin_hub.artifacts.delta_file import read_delta
from spin_hub.artifacts.open import read_record
from spin_hub.artifacts.ranking_file import NAME as RANKING
from spin_hub.artifacts.ranking_file import read_ranking
from spin_hub.artifacts.recipe_file import read_recipe_file
from spin_hub.checkpoint.compat import fit_of, refusal
from spin_hub.checkpoint.header import read_header
from spin_hub.checkpoint.index import read_index
from spin_hub.cli.console import Screen
from spin_hub.cli.plain import plain_json
from spin_hub.cli.show import show_counts
from spin_hub.core.names import by_layer
from spin_hub.core.selection import Selection, parse
from spin_hub.data.chat import open_chat
from spin_hub.data.sampling import Sampling, read_sample
from spin_hub.data.spec import Spec
from spin_hub.data.tokens import joined_ids
from spin_hub.errors import NoSafetensors, SourceError, SpinHubError
from spin_hub.model_cards.front_matter import decoded, read_base_card, read_readme, write_readme
from spin_hub.model_cards.heat_map import heat_map, is_heat_map
from spin_hub.model_cards.render import joined, render_card
from spin_hub.recipe import SelectionRecipe
from spin_hub.record import DatasetRef, Record
from spin_hub.scoring.selecting import delta_from
from spin_hub.workflows.inspect import inspect
from spin_hub.workflows.plots import draw_evaluation

CONFIG = b'{"model_type": "llama"}'


def header(data: bytes) -> None:
    """The header of a safetensors file."""
    read_header(_file("model.safetensors", data))


def delta(data: bytes) -> None:
    """A delta, read, shown as a table and as JSON, and laid upon a checkpoint."""
    path = _file(DELTA, data)
    found = read_delta(path)
    _shown(path)
    _file("model/config.json", CONFIG)
    index = read_index(_file("model/model.safetensors", (VECTORS / "base.safetensors").read_bytes()).parent)
    refusal(fit_of(index, found))


def ranking(data: bytes) -> None:
    """A ranking, read, shown and selected from."""
    path = _file(RANKING, data)
    _shown(path)
    delta_from(read_ranking(path), SelectionRecipe(p=0.05, q=0.1), None)


def index(data: bytes) -> None:
    """The map of a sharded checkpoint, beside two shards that hold the same tensors."""
    _file("sharded/config.json", CONFIG)
    for shard in ("model-1.safetensors", "model-2.safetensors"):
        _file(f"sharded/{shard}", (VECTORS / "base.safetensors").read_bytes())
    _opened(_file("sharded/model.safetensors.index.json", data).parent)


def config(data: bytes) -> None:
    """A checkpoint's config."""
    _file("whole/model.safetensors", (VECTORS / "base.safetensors").read_bytes())
    _opened(_file("whole/config.json", data).parent)


def adapter(data: bytes) -> None:
    """The config of an adapter in place of a model."""
    try:
        read_index(_file("adapter/adapter_config.json", data).parent)
    except NoSafetensors as error:
        assert error.message.isprintable()


def record(data: bytes) -> None:
    """A record, and the card that is written from it."""
    found = read_record(_file("spin.json", data))
    render_card(found, None, "org/name").encode("utf-8")


def plots(data: bytes) -> None:
    """The plots of what a record says."""
    path = _file("spin.json", data)
    found = read_record(path)
    heat_map(by_layer(found.result.counts), f"of {found.model.name}", Path("heat-map.png"))
    if (evaluation := found.evaluation) is not None:
        checked(path, lambda: draw_evaluation(evaluation, found.model.name, Path()))


def card(data: bytes) -> None:
    """A README: of a base, of an edited model whose card is written again, and of two that are joined."""
    text, known = data.decode("utf-8", "replace"), Record.from_json(json.loads(records()[0]))
    json.dumps(read_base_card(data).fields).encode("utf-8")
    render_card(known, text).encode("utf-8")
    joined((text, known), (render_card(known), known))


def front_matter(data: bytes) -> None:
    """A README of a base; what is read is read again from what is written."""
    json.dumps(read_base_card(data).fields).encode("utf-8")
    try:
        readme = read_readme(decoded(data))
    except UnicodeDecodeError:
        return
    again = read_readme(write_readme(readme.data, readme.text))
    assert (repr(again.data), again.lost) == (repr(readme.data), {})


def picture(data: bytes) -> None:
    """A heat map that is compared with the one of a delta."""
    is_heat_map(data, by_layer(HEAT_COUNTS), "t")


def recipe_toml(data: bytes) -> None:
    """A recipe in TOML."""
    read_recipe_file(_file("recipe.toml", data))


def recipe_json(data: bytes) -> None:
    """A record as a recipe."""
    read_recipe_file(_file("recipe.json", data))


def csv(data: bytes) -> None:
    """A calibration set in CSV."""
    read_sample("set", str(_file("rows.csv", data)), Sampling(2), _no_hub)


def jsonl(data: bytes) -> None:
    """A calibration set in JSON lines."""
    read_sample("set", str(_file("rows.jsonl", data)), Sampling(2), _no_hub)


def chat_rows(data: bytes) -> None:
    """Conversations in all spellings, and the columns of other forms."""
    path = str(_file("chat.json", data))
    for columns in ("#prompt=instruction+input,response=messages", "#system=instruction"):
        with suppress(SourceError):
            read_sample("set", path + columns, Sampling(1, system=True), _no_hub)
    read_sample("set", path, Sampling(1, system=True), _no_hub)


def template(data: bytes) -> None:
    """A chat template, rendered, with what it adds and closes."""
    read = tokenizer()
    read.chat_template = data.decode("utf-8", "replace")
    chat = open_chat(read, "2026-11-28")
    joined_ids(read, chat.prompt("Who?", "Be brief."), "Nobody.")
    assert chat.own_text is not None and chat.notes is not None


def parquet(data: bytes) -> None:
    """A calibration set in Parquet."""
    read_sample("set", str(_file("rows.parquet", data)), Sampling(2), _no_hub)


def spec(data: bytes) -> None:
    """The name of a calibration set, as the system hands it over."""
    Spec.parse("set", data.decode("utf-8", "surrogateescape")).published("0" * 40)


def expression(data: bytes) -> None:
    """A set expression."""
    sets = {name: Selection({"t": np.array([1, 2, 3])}) for name in ("fairness", "privacy", "general", "a", "b")}
    parse(data.decode("utf-8", "replace")).evaluate(sets)


TARGETS: Mapping[str, tuple[Callable[[bytes], None], int]] = {
    "header": (header, 40),
    "delta": (delta, 30),
    "ranking": (ranking, 15),
    "index": (index, 20),
    "config": (config, 10),
    "adapter": (adapter, 10),
    "record": (record, 20),
    "plots": (plots, 1),
    "card": (card, 4),
    "front-matter": (front_matter, 20),
    "picture": (picture, 1),
    "recipe-toml": (recipe_toml, 15),
    "recipe-json": (recipe_json, 10),
    "csv": (csv, 5),
    "jsonl": (jsonl, 10),
    "chat-rows": (chat_rows, 10),
    "template": (template, 10),
    "parquet": (parquet, 1),
    "spec": (spec, 20),
    "expression": (expression, 20),
}
"""Target -> its function and its share of the inputs; what takes longer has a smaller one."""


def _file(name: str, data: bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _opened(folder: Path) -> None:
    found = read_index(folder)
    files = found.contents
    assert set(found.shards) <= set(files.kept)
    assert not set(files.kept) & set(files.left_out)


def _shown(path: Path) -> None:
    found = inspect(path)
    screen = Screen(False, False)
    screen.out.file = io.StringIO()
    show_counts(screen, found)
    screen.facts("", found.facts.items())
    text = screen.out.file.getvalue() + plain_json(found.data)
    assert all(character.isprintable() or character == "\n" for character in text), "a control character is printed"


def _no_hub(name: str, revision: str | None) -> DatasetRef:
    raise SpinHubError(message=f"no Hub is asked for {name}")
