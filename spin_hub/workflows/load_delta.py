"""load_delta: a delta for Python, by whatever name it has."""

from pathlib import Path

from spin_hub.artifacts.open import open_delta
from spin_hub.core.delta import Delta
from spin_hub.hub.resolve import resolve_delta


def load_delta(ref: str | Path) -> Delta:
    """Reads a delta and checks all of it.

    Args:
        ref: a delta file, a delta folder or an edited model, or the Hub id of one of them, ``org/name`` or
            ``org/name@revision``. An existing path wins over a Hub id.

    Raises:
        ArtefactNotFound, DeltaNotFound: there is none.
        CorruptFile, UnsupportedFormat: it cannot be read.
        AccessDenied, HubUnreachable: the Hub does not give it.
    """
    return open_delta(resolve_delta(str(ref)).path)[0]
