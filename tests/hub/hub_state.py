"""What the routes of one local Hub share."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, unquote, urlencode

from hub_access import Access
from hub_store import Store
from hub_wire import Refusal, Request


@dataclass
class State:
    """The settings of a Hub and the places its answers point to.

    Attributes:
        url: where the Hub itself is.
        storage_url: where large files are sent to and come from: another origin, as with the real one, so that a
            client which sends its token there is found out.
        copies: whether large files can be copied between repos: ``True``, ``False`` (they have no Xet hash, as
            before Xet) or ``"fails"`` (the copy is refused, as between storage regions).
        part_size: large files beyond so many bytes are sent in parts of that size; None for never.
        page_size: entries of a listing before the next page.
        shared_objects: whether a large file of any repo need not be sent again to another.
        leaks: paths of the storage that were asked for with a token.
    """

    store: Store
    access: Access
    url: str
    storage_url: str
    copies: Literal[True, False, "fails"] = False
    part_size: int | None = None
    page_size: int = 1000
    shared_objects: bool = False
    leaks: list[str] = field(default_factory=list)
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def signed(self, base: str, path: str, **options: Any) -> str:
        """A link that needs no token, as those to the storage."""
        named = {name: str(value) for name, value in options.items()}
        return f"{base}{quote(path)}?{urlencode({**named, 'signature': self._signature(path, named)})}"

    def check_signed(self, request: Request) -> dict[str, str]:
        """The options of a signed link that was used."""
        named = {name: values[0] for name, values in request.query.items() if name != "signature"}
        if not hmac.compare_digest(self._signature(unquote(request.path), named), request.option("signature") or ""):
            raise Refusal(403, "SignatureDoesNotMatch")
        if request.headers.get("Authorization"):
            self.leaks.append(request.path)
            raise Refusal(400, "Only one auth mechanism allowed")
        return named

    def _signature(self, path: str, options: dict[str, str]) -> str:
        signed = f"{path}?{urlencode(sorted(options.items()))}"
        return hmac.new(self.secret, signed.encode(), hashlib.sha256).hexdigest()

    def page(self, items: list[Any], request: Request) -> tuple[list[Any], dict[str, str]]:
        """One page of a listing, and the header that leads to the next one."""
        start = int(request.option("cursor") or 0)
        end = start + min(self.page_size, int(request.option("limit") or self.page_size))
        if end >= len(items):
            return items[start:], {}
        query = [(name, value) for name, values in request.query.items() if name != "cursor" for value in values]
        following = f"{self.url}{request.path}?{urlencode([*query, ('cursor', end)])}"
        return items[start:end], {"Link": f'<{following}>; rel="next"'}
