"""The state of the Hub's token: whether there is one, and what it allows; asked within a few seconds, never shown."""

import os
from dataclasses import dataclass
from importlib import import_module
from threading import Thread
from typing import Final

from huggingface_hub import constants, errors, get_token
from huggingface_hub.errors import HTTPError

from spin_hub.errors import HubSilent, SpinHubError
from spin_hub.hub.account import Account, account

SECONDS: Final = 5.0
"""How long the Hub may take to say whose token it is."""

_VARIABLES: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

# The HTTP client is another package in other versions of huggingface_hub; InvalidURL of it has no common base,
# and OIDCError is not in every version.
_CLIENT: Final = import_module(HTTPError.__module__.partition(".")[0])
_UNUSABLE: Final[tuple[type[Exception], ...]] = (
    OSError,
    ValueError,
    ImportError,
    RuntimeError,
    HTTPError,
    getattr(_CLIENT, "InvalidURL", HTTPError),
    getattr(errors, "OIDCError", HTTPError),
)


@dataclass(frozen=True)
class TokenState:
    """What is known of the token; never the token itself.

    Attributes:
        present: whether there is one; None if that could not be found out.
        source: where it comes from: a variable's name, or ``hf auth login``.
        valid: whether its characters are those of a token.
        account: whose it is and what it allows, as the Hub says.
        refused: whether the Hub does not know it.
        why: why the Hub was not asked, or why it did not answer.
    """

    present: bool | None = None
    source: str = ""
    valid: bool = True
    account: Account | None = None
    refused: bool = False
    why: str = ""


def token(seconds: float = SECONDS) -> TokenState:
    """Finds the token and asks the Hub what it allows.

    Args:
        seconds: after so long an answer is no longer waited for.
    """
    known: list[TokenState] = []
    # A name server that does not answer takes longer than any time-out of the client, hence the thread.
    asking = Thread(target=_ask, args=(known,), daemon=True)
    asking.start()
    asking.join(seconds)
    silent = TokenState(why=f"there was no answer within {seconds:g} s")
    if not known:
        return silent
    last = known[-1]
    if asking.is_alive():
        return TokenState(last.present, last.source, why=silent.why)
    return last


def _ask(known: list[TokenState]) -> None:
    """Adds what is found out to the list, the presence of the token first."""
    try:
        found = get_token()
    except _UNUSABLE as error:
        unreadable = isinstance(error, UnicodeError)
        known.append(TokenState(True if unreadable else None, _source(), not unreadable, why=type(error).__name__))
        return
    state = TokenState(found is not None, _source() if found else "")
    known.append(state)
    if found is None:
        return
    if not (found.isascii() and found.isprintable() and " " not in found):
        known.append(TokenState(True, state.source, valid=False))
    elif constants.is_offline_mode():
        known.append(TokenState(True, state.source, why="offline mode is on"))
    else:
        known.append(_answer(state))


def _answer(state: TokenState) -> TokenState:
    try:
        return TokenState(True, state.source, account=account())
    except HubSilent as error:
        return TokenState(True, state.source, why=str(error.facts["why"]))
    except SpinHubError:
        return TokenState(True, state.source, refused=True)
    except (KeyError, TypeError, AttributeError):
        return TokenState(True, state.source, why="it answered with something else than an account")
    except _UNUSABLE as error:
        return TokenState(True, state.source, why=_reason(error))


def _reason(error: Exception) -> str:
    if "JSON" in type(error).__name__:
        return "it answered with something else than an account"
    return f"the request could not be made ({type(error).__name__}); look at HF_ENDPOINT and at the proxies"


def _source() -> str:
    return next((name for name in _VARIABLES if os.environ.get(name, "").strip()), "hf auth login")


def endpoint() -> str:
    """The Hub's address in force, which HF_ENDPOINT may have set; it may hold a password."""
    return str(constants.ENDPOINT)


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE keeps the client from asking the Hub."""
    return bool(constants.is_offline_mode())
