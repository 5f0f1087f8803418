"""HTTP for a server-rendered application: requests, answers, routes, and the guard against forged forms."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from employee_directory.forms import BadForm, Form, parse
from employee_directory.photos import MAX_PHOTO_BYTES

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)

#: A photo, and room for the other fields.
MAX_BODY_BYTES: Final = MAX_PHOTO_BYTES + 64 * 1024

CSRF: Final = "csrf"
CSRF_TOKEN: Final = re.compile(r"[\w-]{43}", re.ASCII)

#: Nothing is loaded from elsewhere, nothing is scripted, nobody frames these pages.
SECURITY_HEADERS: Final = (
    (
        "Content-Security-Policy",
        (
            "default-src 'none'; style-src 'self'; img-src 'self' data:;"
            " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
    ),
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
)


class HttpError(Exception):
    """A request that is answered with an error page."""

    def __init__(self, status: HTTPStatus, message: str = "", **headers: str) -> None:
        """Say what went wrong to the person at the browser; by default in the status' own words."""
        super().__init__(message or status.description)
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Request:
    """What a handler gets. `csrf_token` belongs into each form that it shows."""

    query: Mapping[str, str]
    form: Form
    csrf_token: str


@dataclass(frozen=True, slots=True)
class Response:
    """What a handler returns."""

    body: bytes | str
    content_type: str = "text/html; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


def see_other(path: str) -> Response:
    """Send the browser on after a form, so that reloading does not submit it twice."""
    return Response("", status=HTTPStatus.SEE_OTHER, headers={"Location": path})


Handler = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Route:
    """A method, a pattern for the whole path, and the handler that gets the pattern's groups."""

    method: str
    path: re.Pattern[str]
    handler: Handler


def route(method: str, path: str, handler: Handler) -> Route:
    """Make a route; "{id}" stands for a number that SQLite can hold, "{file}" for a file's name."""
    pattern = path.replace("{id}", r"(\d{1,18})").replace("{file}", r"([\w-]+\.[a-z]+)")
    return Route(method, re.compile(pattern, re.ASCII), handler)


class Application:
    """The WSGI application over a list of routes."""

    def __init__(self, routes: Iterable[Route], error_page: Callable[[HTTPStatus, str], Response]) -> None:
        """Answer by these routes, and with this page where none fits or a handler raises HttpError."""
        self._routes = tuple(routes)
        self._error_page = error_page

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        """Answer one request; an unforeseen error is logged and answered, never shown."""
        token = _csrf_cookie(environ)
        fresh_token = token or token_urlsafe(32)
        try:
            response = self._answer(environ, token, fresh_token)
            headers = dict(response.headers)
        except HttpError as err:
            response = self._error_page(err.status, str(err))
            headers = err.headers
        except Exception:
            logger.exception("%s %s", environ["REQUEST_METHOD"], environ.get("PATH_INFO"))
            response = self._error_page(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here. It was logged.")
            headers = {}
        if not token:
            headers["Set-Cookie"] = f"{CSRF}={fresh_token}; Path=/; HttpOnly; SameSite=Strict"
        body = response.body.encode() if isinstance(response.body, str) else response.body
        headers["Content-Type"] = response.content_type
        headers["Content-Length"] = str(len(body))
        status = f"{response.status.value} {response.status.phrase}"
        start_response(status, [*SECURITY_HEADERS, *headers.items()])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: "WSGIEnvironment", token: str | None, fresh_token: str) -> Response:
        method = environ["REQUEST_METHOD"].replace("HEAD", "GET")
        # WSGI hands the path's bytes over as latin-1; no route has anything but ASCII.
        matches = {r.method: (r, m) for r in self._routes if (m := r.path.fullmatch(environ.get("PATH_INFO", "")))}
        if not matches:
            raise HttpError(HTTPStatus.NOT_FOUND, "There is no such page.")
        if method not in matches:
            raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, Allow=", ".join(matches))
        found, match = matches[method]
        form = _form(environ, token) if method == "POST" else Form()
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), errors="replace"))
        groups = (int(group) if group.isdigit() else group for group in match.groups())
        return found.handler(Request(query, form, fresh_token), *groups)


def _csrf_cookie(environ: "WSGIEnvironment") -> str | None:
    try:
        morsel = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(CSRF)
    except CookieError:
        return None
    return morsel.value if morsel and CSRF_TOKEN.fullmatch(morsel.value) else None


def _form(environ: "WSGIEnvironment", token: str | None) -> Form:
    """Read the submitted form, which must repeat the token of the cookie.

    Another site can make a browser submit a form here, but can neither read the cookie nor, as it is
    `SameSite=Strict`, have it sent along. Source: OWASP CSRF Prevention Cheat Sheet, double submit.
    """
    try:
        form = parse(environ.get("CONTENT_TYPE", ""), _body(environ))
    except BadForm as err:
        raise HttpError(HTTPStatus.BAD_REQUEST, str(err)) from err
    if not token or not compare_digest(token.encode(), form.fields.get(CSRF, "").encode()):
        raise HttpError(HTTPStatus.FORBIDDEN, "The form has expired. Please go back, reload it and try again.")
    return form


def _body(environ: "WSGIEnvironment") -> bytes:
    length = environ.get("CONTENT_LENGTH", "")
    if not length:
        raise HttpError(HTTPStatus.LENGTH_REQUIRED)
    if not length.isdecimal():
        raise HttpError(HTTPStatus.BAD_REQUEST, "The length of the form is not a number.")
    size = int(length)
    stream = environ["wsgi.input"]
    try:
        if size > MAX_BODY_BYTES:
            # A socket closed on unread data is reset, and the browser would show that instead of the answer.
            left = min(size, 16 * MAX_BODY_BYTES)
            while left > 0 and (chunk := stream.read(min(left, 65536))):
                left -= len(chunk)
            raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "That is too large. A photo may have up to 4 MiB.")
        body: bytes = stream.read(size)
    except TimeoutError as err:
        raise HttpError(HTTPStatus.REQUEST_TIMEOUT) from err
    if len(body) < size:
        raise HttpError(HTTPStatus.BAD_REQUEST, "The form is cut short.")
    return body
