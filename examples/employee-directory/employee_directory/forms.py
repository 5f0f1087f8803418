"""Submitted forms: `application/x-www-form-urlencoded` and `multipart/form-data`.

Source: HTML Living Standard, form submission; RFC 7578. The standard library has no parser for these
since `cgi` went, so the body is split here, byte for byte, and `email` reads the headers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_string
from email.message import Message
from typing import Final
from urllib.parse import parse_qsl

#: The forms here have seven fields.
MOST_FIELDS: Final = 32


class BadForm(ValueError):
    """The body is not a form. The text says why."""


@dataclass(frozen=True, slots=True)
class Form:
    """Text fields and file contents by name. Of fields with one name the last counts; no file, no entry."""

    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def parse(content_type: str, body: bytes) -> Form:
    """Read a form.

    Args:
        content_type: The header as it came.
        body: All of it; the caller limits its size.

    Raises:
        BadForm: Another content type, or a body that is not what the type says.
    """
    header = Message()
    header["content-type"] = content_type
    match header.get_content_type():
        case "application/x-www-form-urlencoded":
            return _urlencoded(body)
        case "multipart/form-data":
            return _multipart(header.get_boundary() or "", body)
    raise BadForm("This is not a form.")


def _urlencoded(body: bytes) -> Form:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as err:
        raise BadForm("The form is not valid UTF-8, or too long.") from err
    return Form(fields=dict(pairs))


def _multipart(boundary: str, body: bytes) -> Form:
    delimiter = b"\r\n--" + boundary.encode("ascii", "replace")
    _preamble, *parts = (b"\r\n" + body).split(delimiter, MOST_FIELDS + 1)
    if not boundary or not parts or not parts[-1].startswith(b"--"):
        raise BadForm("The form is cut short.")
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in parts[:-1]:
        _read_part(part, fields, files)
    return Form(fields, files)


def _read_part(part: bytes, fields: dict[str, str], files: dict[str, bytes]) -> None:
    head, blank_line, content = part.partition(b"\r\n\r\n")
    try:
        header = message_from_string(head.decode("utf-8").lstrip())
        name = header.get_param("name", header="content-disposition")
        if not blank_line or header.get_content_disposition() != "form-data" or not isinstance(name, str):
            raise BadForm("A part of the form has no name.")
        if header.get_filename() is None:
            fields[name] = content.decode("utf-8")
        elif content:
            files[name] = content
    except UnicodeDecodeError as err:
        raise BadForm("The form is not valid UTF-8.") from err
