"""Who is let in: the names that a page may be called by, where it comes from, and a token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
import hmac
import ipaddress

from aiohttp import hdrs, web
from yarl import URL

# What the page offers beside the token when it connects.
PROTOCOL = "virst"
# A page that runs nothing but its own files, loads nothing from elsewhere, and is in no frame.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """Answers 403 to whoever may not, before anything else is looked at."""

    def __init__(self, names: Sequence[str] = (), token: str = "") -> None:
        """`names`: of this machine, beside localhost and addresses in numbers, which cannot be
        another's; `token`: what a page must know to connect, empty: nothing."""
        self._names = {"localhost", *(name.lower() for name in names)}
        self._token = token.encode()

    @web.middleware
    async def check_host(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuses a name that is not ours: a stranger's page may let its own name lead here."""
        if not self._is_ours(request.headers.get(hdrs.HOST, "")):
            raise web.HTTPForbidden(text="not by this name: start the viewer with --name NAME\n")
        return await handler(request)

    def check_page(self, request: web.Request) -> None:
        """Refuses to connect a page that is not the viewer's own, or does not know the token."""
        host = request.headers.get(hdrs.HOST, "").lower()
        origin = request.headers.get(hdrs.ORIGIN, "").lower()
        if origin not in (f"http://{host}", f"https://{host}"):
            raise web.HTTPForbidden(text="not from another page\n")
        if self._token and not self._is_known(request):
            raise web.HTTPForbidden(text="not without the token\n")

    def _is_ours(self, host: str) -> bool:
        try:
            name = URL(f"http://{host}").host or ""
        except ValueError:
            return False
        return name.lower() in self._names or is_address(name)

    def _is_known(self, request: web.Request) -> bool:
        offered = ",".join(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])).split(",")
        words = [word.strip().encode(errors="surrogateescape") for word in offered]
        return any(hmac.compare_digest(word, self._token) for word in words)


def is_address(name: str) -> bool:
    """Whether that is an address in numbers."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)
