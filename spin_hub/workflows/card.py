"""card: the README of an edited model or a delta, written again from its record."""

from pathlib import Path

from spin_hub.artifacts.atomic import new_file
from spin_hub.artifacts.open import find_delta, read_record
from spin_hub.core.files import README
from spin_hub.errors import CorruptFile, DeltaNotFound
from spin_hub.model_cards.front_matter import decoded
from spin_hub.model_cards.render import render_card
from spin_hub.record import NAME as RECORD


def card(folder: str | Path) -> Path:
    """Write the generated part of a README again; text around it stays.

    Args:
        folder: an edited model or a delta folder.

    Returns:
        The README's path.

    Raises:
        DeltaNotFound: the folder has no delta or no record.
        CorruptFile: the record is damaged, or the README is not text.
        CardRefused: the README's metadata cannot be read.
    """
    folder = Path(folder)
    record_path = find_delta(folder).with_name(RECORD)
    if not record_path.is_file():
        raise DeltaNotFound(path=folder, what="record (spin.json)")
    record = read_record(record_path)
    readme = folder / README
    try:
        existing = decoded(readme.read_bytes()) if readme.is_file() else None
    except UnicodeDecodeError as error:
        raise CorruptFile(path=readme, why="it is not text in UTF-8") from error
    with new_file(readme) as path:
        path.write_text(render_card(record, existing), "utf-8", newline="\n")
    return readme
