"""Which path is answered by what, and the short word by which faults and counts call it."""

import re
from collections.abc import Callable
from urllib.parse import unquote

from hub_commit import Commits
from hub_download import Downloads
from hub_manage import Management
from hub_pages import Pages
from hub_state import State
from hub_upload import Uploads
from hub_wire import Answer, Request

Work = Callable[[Request], Answer]
Found = tuple[str, dict[str, str], Work]

_KIND = r"/api/(?P<kind>models|datasets)"
_ID = r"(?P<repo>[^/]+/[^/]+)"
_REPO = f"{_KIND}/{_ID}"
_PAGE = rf"/(?:(?P<kind>datasets)/)?{_ID}"
# A pull request's slashes are quoted by the client; by hand one leaves them.
_REV = r"(?P<rev>refs(?:/|%2F)(?:pr|heads|tags|convert)(?:/|%2F)[^/]+|[^/]+)"


class Routes:
    """The table of all paths."""

    def __init__(self, state: State) -> None:
        pages, uploads, commits = Pages(state), Uploads(state), Commits(state)
        downloads, management = Downloads(state), Management(state)
        self._downloads = downloads
        self._missing = pages.missing
        self._table: list[tuple[str, str, re.Pattern[str], Work]] = [
            (word, methods, re.compile(pattern), work)
            for word, methods, pattern, work in [
                ("whoami", "GET", r"/api/whoami-v2", pages.whoami),
                ("create", "POST", r"/api/repos/create", management.create),
                ("delete", "DELETE", r"/api/repos/delete", management.delete),
                ("validate", "POST", r"/api/validate-yaml", management.validate),
                ("complete", "POST", r"/api/complete_multipart", uploads.complete),
                ("list", "GET", _KIND, pages.list),
                ("info", "GET", rf"{_REPO}(?:/revision/{_REV})?", pages.info),
                ("auth-check", "GET", rf"{_REPO}/auth-check(?P<write>/write)?", pages.auth_check),
                ("tree", "GET", rf"{_REPO}/tree/{_REV}(?:/(?P<path>.*))?", pages.tree),
                ("paths-info", "POST", rf"{_REPO}/paths-info/{_REV}", pages.paths_info),
                ("commits", "GET", rf"{_REPO}/commits/{_REV}", pages.commits),
                ("refs", "GET", rf"{_REPO}/refs", pages.refs),
                ("tag", "POST DELETE", rf"{_REPO}/tag/{_REV}", management.tag),
                ("branch", "POST DELETE", rf"{_REPO}/branch/(?P<rev>.+)", management.branch),
                ("settings", "PUT POST", rf"{_REPO}/settings", management.settings),
                ("discussions", "GET", rf"{_REPO}/discussions(?:/(?P<num>\d+))?", management.discussions),
                ("discussions", "POST", rf"{_REPO}/discussions", management.discussions),
                ("discussions", "POST", rf"{_REPO}/discussions/(?P<num>\d+)/(?P<verb>merge|status)",
                 management.discussions),
                ("preupload", "POST", rf"{_REPO}/preupload/{_REV}", uploads.preupload),
                ("commit", "POST", rf"{_REPO}/commit/{_REV}", commits.commit),
                ("copy", "POST", rf"{_REPO}/lfs-files/duplicate", uploads.copy),
                ("batch", "POST", rf"{_PAGE}\.git/info/lfs/objects/batch", uploads.batch),
                ("verify", "POST", rf"{_PAGE}\.git/info/lfs/verify", uploads.verify),
                ("put", "PUT", r"/_lfs/upload/(?P<sha256>[0-9a-f]{64})", uploads.put),
                ("resolve", "GET HEAD", r"/_lfs/(?P<sha256>[0-9a-f]{64})/(?P<path>.+)", downloads.storage),
                ("head", "HEAD", rf"{_PAGE}/resolve/{_REV}/(?P<path>.+)", downloads.resolve),
                ("resolve", "GET", rf"{_PAGE}/resolve/{_REV}/(?P<path>.+)", downloads.resolve),
            ]
        ]  # fmt: skip

    def find(self, request: Request) -> Found:
        """The word of a request's route, the pieces of its path, and what answers it."""
        for word, methods, pattern, work in self._table:
            if request.method in methods.split() and (match := pattern.fullmatch(request.path)):
                parts = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                request.parts = parts
                if work == self._downloads.resolve and word == "resolve" and self._downloads.is_redirected(request):
                    return "redirect", parts, work
                return word, parts, work
        return "other", {}, self._missing
