"""A client for both variants of the employee directory; it needs nothing but Python's standard library.

It does what a browser does: opens the page with the form, fills in what the form asks for, hidden fields
included, and submits it to where the form says.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPException
from http.cookiejar import CookieJar
from secrets import token_hex
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, OpenerDirector, ProxyHandler, Request, build_opener

TIMEOUT_S: Final = 10.0

#: Between two questions to a directory that is not there yet.
PAUSE_S: Final = 0.2


class DirectoryError(Exception):
    """The directory did not do what was asked of it. The text says what was asked and how it answered."""


def wait_until_healthy(base_url: str, deadline_s: float) -> None:
    """Return once the directory answers its health check.

    Args:
        base_url: Such as "http://127.10.0.5".
        deadline_s: How long to wait, in seconds.

    Raises:
        DirectoryError: It did not in time.
    """
    give_up_at = time.monotonic() + deadline_s
    while True:
        try:
            # A short timeout: a connection that meets no listener yet is retried sooner than TCP would.
            answer = _open(_browser(), urljoin(base_url, "/healthz"), timeout_s=min(TIMEOUT_S, 2.0))
        except DirectoryError as err:
            if time.monotonic() >= give_up_at:
                raise DirectoryError(f"{base_url} was not healthy after {deadline_s:g} s: {err}") from err
        else:
            if answer.strip() == b"ok":
                return
            raise DirectoryError(f"{base_url} is no employee directory: its health check says {answer[:80]!r}")
        time.sleep(PAUSE_S)


def employees(base_url: str) -> list[dict[str, Any]]:
    """Return everybody, each with id, name, job_title, location, email, badges and photo (a path, or None).

    Raises:
        DirectoryError: The directory does not answer.
    """
    found: list[dict[str, Any]] = json.loads(_open(_browser(), urljoin(base_url, "/api/employees")))
    return found


def instance(base_url: str) -> dict[str, str] | None:
    """Return instance_id, host_name and ami_id of the instance that serves, or None if it runs on none.

    Raises:
        DirectoryError: The directory does not answer.
    """
    found: dict[str, str] | None = json.loads(_open(_browser(), urljoin(base_url, "/api/instance")))
    return found


def photo(base_url: str, path: str) -> bytes:
    """Return a photo by the path that `employees` gives.

    Raises:
        DirectoryError: There is none, or the directory does not answer.
    """
    return _open(_browser(), urljoin(base_url, path))


def add_employee(
    base_url: str,
    *,
    name: str,
    job_title: str,
    location: str = "",
    email: str = "",
    badges: str = "",
    photo: bytes | None = None,
) -> None:
    """Add an employee through the form. Once this returns, a power cut does not lose them.

    Args:
        base_url: Such as "http://127.10.0.5".
        name: As shown on the page.
        job_title: The same.
        location: The same; may be empty.
        email: The same; may be empty.
        badges: Separated by commas.
        photo: PNG, JPEG or WebP. The minimal variant has no photos; its form does not ask for one, so
            none is sent, as for badges.

    Raises:
        DirectoryError: The directory refused the form or does not answer.
    """
    browser = _browser()
    page = urljoin(base_url, "/employees/new")
    form = _find_form(_open(browser, page).decode())
    filled = {"name": name, "job_title": job_title, "location": location, "email": email, "badges": badges}
    fields = {key: filled.get(key, value) for key, value in form.fields.items()}
    if form.enctype == "multipart/form-data":
        files = {"photo": photo} if photo and "photo" in form.files else {}
        content_type, body = multipart(fields, files)
    else:
        content_type, body = form.enctype, urlencode(fields).encode()
    headers = {"Content-Type": content_type}
    _open(browser, Request(urljoin(page, form.action), body, headers))  # noqa: S310 - from an http page


@dataclass
class _Form:
    action: str
    enctype: str
    fields: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)


class _FormReader(HTMLParser):
    """Collects the forms of a page with their inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[_Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if tag == "form":
            enctype = given.get("enctype", "application/x-www-form-urlencoded")
            self.forms.append(_Form(given.get("action", ""), enctype))
        elif tag == "input" and self.forms and "name" in given:
            if given.get("type") == "file":
                self.forms[-1].files.add(given["name"])
            else:
                self.forms[-1].fields[given["name"]] = given.get("value", "")


def _find_form(page: str) -> _Form:
    reader = _FormReader()
    reader.feed(page)
    for form in reader.forms:
        if {"name", "job_title"} <= form.fields.keys():
            return form
    raise DirectoryError("the page has no form for an employee")


def multipart(fields: Mapping[str, str], files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Return a form as browsers encode it: the content type and the body."""
    boundary = token_hex(16)
    body = bytearray()
    for name, text in fields.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        body += head.encode() + text.encode() + b"\r\n"
    for name, content in files.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={boundary}", bytes(body)


def _browser() -> OpenerDirector:
    """Return an opener with cookies of its own, and without a proxy: instances are near."""
    return build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))


def _open(browser: OpenerDirector, target: str | Request, *, timeout_s: float = TIMEOUT_S) -> bytes:
    url = target if isinstance(target, str) else target.full_url
    try:
        with browser.open(target, timeout=timeout_s) as answer:
            content: bytes = answer.read()
            return content
    except HTTPError as err:
        with err:
            raise DirectoryError(f"{url} answered {err.code} {err.reason}") from err
    except (OSError, HTTPException) as err:
        raise DirectoryError(f"{url} did not answer: {err}") from err
