"""The settings by which the Hub is reached, HF_ENDPOINT, the proxies and the token, and what is wrong with them.

This module does not import the Hub's client, which cannot be imported at all with an HF_ENDPOINT that does not parse.
"""

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from spin_hub.errors import HubSilent

PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")

_HTTP: Final = frozenset({"http", "https"})
_SOCKS: Final = frozenset({"socks5", "socks5h"})
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_LONGEST: Final = 100

_TOKENS: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]*")


@dataclass(frozen=True)
class Address:
    """The parts of a URL that may be shown: no user, no password, no query."""

    scheme: str
    host: str
    port: int | None
    path: str = ""

    @property
    def place(self) -> str:
        """Host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host + (f":{self.port}" if self.port is not None else ""))[:_LONGEST]

    def __str__(self) -> str:
        return f"{self.scheme}://{self.place}"


@dataclass(frozen=True)
class Problem:
    """A setting with which no request can be made: why, as a clause, and what to do, as a sentence."""

    variable: str
    why: str
    hint: str


def address(text: str) -> Address | None:
    """Return the address in a URL, ``http`` if it names no scheme, or None if it has no readable host and port."""
    full = text.strip() if _SCHEME.match(text.strip()) else f"http://{text.strip()}"
    try:
        parts = urlsplit(full)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    return Address(parts.scheme.lower(), host, port, parts.path.rstrip("/")) if _HOST.fullmatch(host) else None


def check_endpoint() -> None:
    """Refuse an HF_ENDPOINT from which no address can be read: the Hub's client cannot be imported with it.

    Raises:
        HubSilent: saying so.
    """
    problem, text = endpoint_problem(), os.environ.get("HF_ENDPOINT", "")
    if problem and text.strip() and address(text) is None:
        raise HubSilent(f"{problem.why}.", hint=problem.hint)


def endpoint_problem() -> Problem | None:
    """Return what is wrong with HF_ENDPOINT, or None."""
    name, text = "HF_ENDPOINT", os.environ.get("HF_ENDPOINT")
    if text is None:
        return None
    found = address(text)
    unset = f"unset {name} to use huggingface.co"
    if not text.strip():
        return Problem(name, f"{name} is empty", f"Set it to the address of a Hub, or {unset}.")
    if found is None:
        why = f"{name} ({_bare(text)}) is not the address of a server: it has no host and port that can be read"
        return Problem(name, why, f"Correct it, or {unset}.")
    if not _SCHEME.match(text.strip()):
        return Problem(name, f"{name} is {found.place}, without http:// or https://", f"Add it, or {unset}.")
    if found.scheme not in _HTTP:
        why = f"{name} is {found}, and a Hub is reached by https:// or http://"
        return Problem(name, why, f"Correct it, or {unset}.")
    return None


def proxy(name: str) -> tuple[str, str] | None:
    """Return the variable that names a proxy, and its text; the lower-case name comes first, as for the client."""
    found = [(variable, os.environ[variable]) for variable in (name.lower(), name) if os.environ.get(variable)]
    return found[0] if found else None


def proxy_problem(variable: str, text: str) -> Problem | None:
    """Return what is wrong with a proxy's variable, or None."""
    found = address(text)
    if found is None:
        why = f"{variable} ({_bare(text)}) is not the address of a proxy: it has no host and port that can be read"
        return Problem(variable, why, f"Correct or unset {variable}.")
    if found.scheme not in _HTTP | _SOCKS:
        why = f"{variable} names the proxy {found}, and {found.scheme[:20]}:// is not supported"
        return Problem(variable, why, f"Use http:// or socks5:// in {variable}, or unset it.")
    if found.scheme in _SOCKS and find_spec("socksio") is None:
        why = f"{variable} names the SOCKS proxy {found}, for which the package socksio is missing"
        return Problem(variable, why, f"Install it (pip install socksio), or unset {variable}.")
    return None


def problems() -> Iterator[Problem]:
    """Yield what is wrong with the settings: with any of these the client makes no request at all."""
    if found := endpoint_problem():
        yield found
    if (os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")).strip() == "*":
        return
    for name in PROXIES:
        if (named := proxy(name)) and (found := proxy_problem(*named)):
            yield found


def proxy_of(url: str) -> str | None:
    """Return the proxy for requests to an address, such as ``http://10.0.0.1:3128 (HTTPS_PROXY)``, or None."""
    from urllib.request import proxy_bypass  # takes a while, and this module is imported at every start

    target = address(url)
    if target is None or proxy_bypass(target.host):
        return None
    named = proxy(f"{target.scheme.upper()}_PROXY") or proxy("ALL_PROXY")
    found = address(named[1]) if named else None
    return f"{found} ({named[0]})" if named and found else None


def _bare(text: str) -> str:
    """Return an address that cannot be read, without what may be a user, a password or a query."""
    scheme = _SCHEME.match(text.strip())
    rest = text.strip()[scheme.end() if scheme else 0 :].rpartition("@")[2].partition("?")[0]
    shown = "".join(letter for letter in (scheme[0] if scheme else "") + rest if letter.isprintable())
    return shown[:_LONGEST]


def endpoint() -> str:
    """Return the Hub's address without the user, password and query that HF_ENDPOINT may have."""
    from huggingface_hub import constants

    found = address(constants.ENDPOINT)
    return f"{found}{found.path}" if found else "HF_ENDPOINT"


def tokens_page() -> str:
    """Return the address of the page on which tokens are created."""
    return f"{endpoint()}/settings/tokens"


def is_offline() -> bool:
    """Return True if HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set."""
    from huggingface_hub import constants

    return bool(constants.is_offline_mode())


def token_source() -> str:
    """Return where the token comes from: a variable's name, or ``hf auth login``."""
    names = (*_TOKENS, "HF_TOKEN_PATH")
    return next((name for name in names if os.environ.get(name, "").strip()), "hf auth login")


def has_token() -> bool:
    """Return True if there is a token."""
    from huggingface_hub import get_token

    return get_token() is not None


def token_fault() -> str | None:
    """Return why the token cannot be one, as a clause that does not show it, or None."""
    from huggingface_hub import get_token

    try:
        text = get_token() or ""
    except UnicodeError:
        return f"the token of {token_source()} is not plain text: its file has another encoding, such as UTF-16"
    at = _TOKEN.match(text)
    if at is None or at.end() == len(text):
        return None
    letter = text[at.end()]
    name = unicodedata.name(letter, "a control character").lower()
    return f"the token of {token_source()} holds a character that no token has (U+{ord(letter):04X}, {name})"
