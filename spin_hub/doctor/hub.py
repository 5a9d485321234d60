"""The Hub as this environment reaches it: endpoint, token, offline switches, proxies; and spin-hub's own variables."""

import os
from collections.abc import Iterator
from typing import Final

from spin_hub.doctor.findings import Finding, shown
from spin_hub.hub.settings import address, endpoint_problem, is_offline, proxy, proxy_problem, tokens_page
from spin_hub.hub.token import Account, TokenState, token

_DEFAULT: Final = "https://huggingface.co"
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_TRUE: Final = frozenset({"1", "ON", "YES", "TRUE"})
_FALSE: Final = frozenset({"", "0", "OFF", "NO", "FALSE"})
_PROXIES: Final = {
    "HTTPS_PROXY": "Requests by https, as those to the Hub,",
    "HTTP_PROXY": "Requests by http",
    "ALL_PROXY": "Requests for which no other variable names a proxy",
}
_OWN: Final = {
    "SPIN_HUB_CACHE": "The folder of spin-hub's own cache.",
    "SPIN_HUB_DEBUG": "Failures show their traceback.",
    "SPIN_HUB_SPEEDS": "These speeds are taken instead of measured ones, and decide on the precision.",
}


def hub() -> tuple[Finding, ...]:
    """Findings on the endpoint, the token and what it allows, offline switches and proxies."""
    state = token()
    return (_endpoint(), _token(state), *_role(state), *_offline(), *_proxies(), *_transfers())


def variables() -> tuple[Finding, ...]:
    """Findings on the variables that spin-hub itself reads, and on misspelt ones."""
    found = {name: value for name, value in sorted(os.environ.items()) if name.startswith("SPIN_HUB_") and value}
    return tuple(
        Finding(shown(name, 40), shown(value), note=_OWN[name])
        if name in _OWN
        else Finding(shown(name, 40), shown(value), "note", "spin-hub reads no variable of this name.")
        for name, value in found.items()
    ) or (Finding("SPIN_HUB_*", "none set", note="No setting of spin-hub's own is changed."),)


def _endpoint() -> Finding:
    where = os.environ.get("HF_ENDPOINT", _DEFAULT).rstrip("/")
    if where == _DEFAULT:
        return Finding("endpoint", where, note="The Hugging Face Hub.")
    problem, found = endpoint_problem(), address(where)
    if problem or found is None:
        why, hint = (problem.why, problem.hint) if problem else ("It is not an address", "Unset it.")
        note = f"{why}: nothing can be downloaded or pushed. {hint}"
        return Finding("endpoint", "not an address", "problem", note)
    value = f"{found.scheme}://{found.place}{shown(found.path)}"
    if found.scheme == "http" and found.host not in _LOCAL:
        note = "HF_ENDPOINT names it in place of the Hub. The token goes there unencrypted: use https."
        return Finding("endpoint", value, "problem", note)
    note = "HF_ENDPOINT names it: models, data sets, pushes and the token go there, not to huggingface.co."
    return Finding("endpoint", value, "note", note)


def _token(state: TokenState) -> Finding:
    if state.present is None:
        return Finding("token", "unknown", "note", f"It could not be read: {state.why}.")
    if not state.present:
        note = "Public models can be read. Pushing, and gated or private models, need one: run hf auth login."
        return Finding("token", "absent", "note", note)
    if state.fault:
        note = f"{state.fault[0].upper()}{state.fault[1:]}. Copy it again; it is never shown."
        return Finding("token", "present", "problem", note)
    origin = (
        "From hf auth login"
        if state.source == "hf auth login"
        else f"From {state.source}, which comes before hf auth login"
    )
    return Finding("token", "present", note=f"{origin}. It is never shown.")


def _role(state: TokenState) -> Iterator[Finding]:
    if not state.present or state.fault:
        return
    if state.refused:
        note = f"The Hub does not accept the token. Log in again with hf auth login, or make one at {_page()}."
        yield Finding("token role", "refused", "problem", note)
    elif state.account is None:
        what = "was not asked" if is_offline() else "gave no answer"
        note = f"The Hub {what}: {shown(state.why, 160)}. What the token allows is not known."
        yield Finding("token role", "unknown", "note", note)
    else:
        yield _allowed(state.account)


def _allowed(account: Account) -> Finding:
    who = "" if "@" in account.name else f" of {shown(account.name, 40)}"
    if account.role == "read":
        note = f"It reads what the account may read. A push needs a token that may write: {_page()}."
        return Finding("token role", f"read{who}", "note", note)
    if account.role == "fineGrained":
        places = ", ".join(sorted(place for place in account.scopes if "@" not in place))
        if not places:
            note = f"Its permissions include no writing: a push needs some, see {_page()}."
            return Finding("token role", f"fine-grained{who}", "note", note)
        return Finding("token role", f"fine-grained{who}", note=f"It may push to: {shown(places)}.")
    return Finding("token role", f"{shown(account.role, 40)}{who}", note="It reads, and may push.")


def _offline() -> Iterator[Finding]:
    found = {name: os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    for name, value in found.items():
        on = value.upper() in _TRUE
        if on and is_offline():
            note = "Only what is in the Hub cache is used; a push fails. Unset it to go online."
            yield Finding(name, shown(value), "note", note)
        elif value.upper() not in _FALSE | _TRUE:
            yield Finding(name, shown(value), "note", "Counts as off: only 1, ON, YES and TRUE count as on.")
        elif value:
            note = "HF_HUB_OFFLINE decides." if on or is_offline() else "The Hub is asked."
            yield Finding(name, shown(value), note=note)
    data = os.environ.get("HF_DATASETS_OFFLINE")
    if data is not None and data.upper() in _TRUE:
        yield Finding("HF_DATASETS_OFFLINE", shown(data), "note", "Calibration data come from the cache alone.")
    elif data is not None:
        yield Finding("HF_DATASETS_OFFLINE", shown(data) or "empty", note="Calibration data may be downloaded.")
    if not any(found.values()) and data is None:
        yield Finding("offline", "no", note="No switch is set: the Hub is asked.")


def _proxies() -> Iterator[Finding]:
    found = {name: proxy(name) for name in (*_PROXIES, "NO_PROXY")}
    for name, which in _PROXIES.items():
        if named := found[name]:
            yield _proxy(name, *named, which)
    if named := found["NO_PROXY"]:
        entries = [entry.strip().rpartition("@")[2] for entry in named[1].split(",") if entry.strip()]
        yield Finding("NO_PROXY", shown(", ".join(entries)), note="These are reached without a proxy.")
    if not any(found[name] for name in _PROXIES):
        yield Finding("proxy", "none", note="The Hub is reached directly.")


def _proxy(name: str, variable: str, text: str, which: str) -> Finding:
    found, problem = address(text), proxy_problem(variable, text)
    value = found.place if found else "not an address"
    if problem:
        return Finding(name, value, "problem", f"{problem.why}, so requests to the Hub fail. {problem.hint}")
    return Finding(name, value, note=f"{which} go through it.")


def _transfers() -> Iterator[Finding]:
    value = os.environ.get("HF_HUB_DISABLE_XET", "")
    if value.upper() in _TRUE:
        note = "Large files go as a whole, without Xet: pushes of edited models send more."
        yield Finding("HF_HUB_DISABLE_XET", shown(value), "note", note)


def _page() -> str:
    found = address(tokens_page())
    return f"{found.place}{shown(found.path)}" if found else "the Hub's settings"
