"""The `rest-json` protocol: an operation is a method and a path; members are in labels, query string, headers and body.

Source: Smithy 2.0, "HTTP bindings" and "AWS restJson1 protocol".
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from bakehouse.protocol.canonical_request import split_query
from bakehouse.protocol.constraints import check_of, lacking
from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.json_answers import json_members
from bakehouse.protocol.json_requests import decode_json, read_structure, read_value
from bakehouse.protocol.model import Member, Operation, ServiceModel, Shape
from bakehouse.protocol.responses import UnknownOutputMember, WrongOutputType
from bakehouse.protocol.rest_scalars import split_header, text_reader, write_text

_LABEL: Final = re.compile(r"\{([^}+]+)(\+?)\}")

#: What the signature puts into the query string of a presigned URL.
_OF_THE_SIGNATURE: Final = "X-Amz-"

_JSON: Final = b"application/json"


@dataclass(frozen=True, slots=True)
class Route:
    """An operation's method and path."""

    operation: Operation
    pattern: re.Pattern[str]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RestRequest:
    """A request, split into where its members may be.

    Attributes:
        labels: By their names in the path's template, decoded.
        query: Decoded pairs.
        headers: Lower-case name to value.
    """

    labels: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


class Routes:
    """All operations of a service by method and path."""

    def __init__(self, model: ServiceModel) -> None:
        """Compile the templates; those with fewer labels are tried first."""
        self._by_method: dict[str, list[Route]] = {}
        operations = [known for name in model.operation_names if (known := model.operation(name)) is not None]
        for operation in sorted(operations, key=lambda known: (known.uri.count("{"), known.uri)):
            self._by_method.setdefault(operation.method, []).append(_route(operation))

    def find(self, method: str, path: bytes) -> tuple[Operation, dict[str, str]]:
        """Return the operation of a request and the labels in its path, decoded.

        A slash within a label comes percent-encoded, so the path is matched as it was sent.

        Raises:
            ProtocolError: `UnknownOperationException` (404), or `SerializationException` where a label is not UTF-8.
        """
        text = path.decode("latin-1")
        for route in self._by_method.get(method, ()):
            found = route.pattern.fullmatch(text)
            if found is not None:
                values = (_decoded(value) for value in found.groups())
                return route.operation, dict(zip(route.labels, values, strict=True))
        raise ProtocolError("UnknownOperationException", "The service has no operation of this method and path.", 404)


def _route(operation: Operation) -> Route:
    path = operation.uri.partition("?")[0]
    labels, pieces, position = [], [], 0
    for label in _LABEL.finditer(path):
        pieces += [re.escape(path[position : label.start()]), "(.+)" if label[2] else "([^/]+)"]
        labels.append(label[1])
        position = label.end()
    return Route(operation, re.compile("".join([*pieces, re.escape(path[position:]), "/?"])), tuple(labels))


def _decoded(text: str) -> str:
    try:
        return unquote(text.encode("latin-1"), errors="strict")
    except UnicodeDecodeError as err:
        raise ProtocolError("SerializationException", "The path is not valid UTF-8.") from err


def split_parameters(query: bytes) -> list[tuple[str, str]]:
    """Return the parameters of a query string, without those of a signature.

    Raises:
        ProtocolError: `SerializationException`: it is not UTF-8.
    """
    try:
        pairs = [(name.decode(), value.decode()) for name, value in split_query(query)]
    except UnicodeDecodeError as err:
        raise ProtocolError("SerializationException", "The query string is not valid UTF-8.") from err
    return [(name, value) for name, value in pairs if not name.startswith(_OF_THE_SIGNATURE)]


def parse_rest(operation: Operation, request: RestRequest) -> dict[str, Any]:
    """Return the operation's input as boto3 would have taken it.

    Raises:
        ProtocolError: `SerializationException` (not of its type), `ValidationException` (outside the model's limits,
            or missing). Nothing else is raised, whatever the request is.
    """
    shape = operation.input_shape
    if shape is None:
        return {}
    given: dict[str, Any] = {}
    body_members = []
    for member in shape.members.values():
        match member.location:
            case "uri":
                given[member.name] = text_reader(member.shape)(request.labels[member.response_name], member.name)
            case "querystring":
                _read_query(member, request.query, given)
            case "header":
                _read_header(member, request.headers, given)
            case "headers":
                _read_prefixed(member, request.headers, given)
            case _:
                body_members.append(member)
    if shape.payload is not None:
        _read_payload(shape.members[shape.payload], request.body, given)
    elif body_members:
        given |= read_structure(shape, decode_json(request.body), body_members)
    for name in sorted(shape.required - given.keys()):
        raise lacking(name)
    return given


def _read_query(member: Member, query: Iterable[tuple[str, str]], given: dict[str, Any]) -> None:
    if member.shape.type == "map":
        _read_query_map(member, query, given)
        return
    values = [value for name, value in query if name == member.response_name]
    if not values:
        return
    if member.shape.type == "list":
        read = text_reader(member.shape.element.shape)
        found = [read(value, member.name) for value in values]
        check_of(member.shape)(found, member.name)
        given[member.name] = found
    elif len(values) > 1:
        raise ProtocolError("SerializationException", f"'{member.response_name}' was given more than once.")
    else:
        given[member.name] = text_reader(member.shape)(values[0], member.name)


def _read_query_map(member: Member, query: Iterable[tuple[str, str]], given: dict[str, Any]) -> None:
    """Read the whole query: what other members claim is in the map as well. Source: Smithy 2.0, httpQueryParams."""
    entry = member.shape.entry[1].shape
    found: dict[str, Any] = {}
    for name, value in query:
        if entry.type == "list":
            found.setdefault(name, []).append(text_reader(entry.element.shape)(value, member.name))
        else:
            found[name] = text_reader(entry)(value, member.name)
    if found:
        given[member.name] = found


def _read_header(member: Member, headers: Mapping[str, str], given: dict[str, Any]) -> None:
    text = headers.get(member.response_name.lower())
    if text is None:
        return
    if member.shape.type == "list":
        element = member.shape.element
        read = text_reader(element.shape)
        given[member.name] = [read(value, member.name) for value in split_header(text, element)]
    else:
        given[member.name] = text_reader(member.shape)(text.strip(), member.name)


def _read_prefixed(member: Member, headers: Mapping[str, str], given: dict[str, Any]) -> None:
    prefix = member.response_name.lower()
    found = {name[len(prefix) :]: value for name, value in headers.items() if name.startswith(prefix)}
    if found:
        given[member.name] = found


def _read_payload(member: Member, body: bytes, given: dict[str, Any]) -> None:
    match member.shape.type:
        case "blob":
            check_of(member.shape)(body, member.name)
            given[member.name] = body
        case "string":
            try:
                text = body.decode()
            except UnicodeDecodeError as err:
                raise ProtocolError("SerializationException", "The body is not valid UTF-8.") from err
            if text:
                check_of(member.shape)(text, member.name)
                given[member.name] = text
        case _ if body:
            given[member.name] = read_value(member.shape, decode_json(body), member.name)
        case _:
            pass


def serialize_rest(operation: Operation, response: Mapping[str, Any]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body of a successful answer.

    Raises:
        UnknownOutputMember: The response, or a structure in it, has a member that the model does not have.
        WrongOutputType: A value does not have the type of its shape.
    """
    shape = operation.output_shape
    if shape is None:
        if response:
            raise UnknownOutputMember(f"{operation.name} has no output, so not {', '.join(response)}")
        return operation.status, [(b"content-type", _JSON)], b""
    status = operation.status
    headers: list[tuple[bytes, bytes]] = []
    inner: dict[str, Any] = {}
    for name, value in response.items():
        member = shape.members.get(name)
        location = None if member is None else member.location
        if location is None or value is None:
            inner[name] = value
        elif location == "statusCode":
            status = int(value)
        else:
            headers += _headers(shape.members[name], value)
    body, content_type = _body(shape, inner)
    return status, [(b"content-type", content_type), *headers], body


def _headers(member: Member, value: Any) -> list[tuple[bytes, bytes]]:  # noqa: ANN401 - whatever the shape is
    try:
        if member.location == "headers":
            prefix = member.response_name
            return [_header(prefix + name, str(text)) for name, text in value.items()]
        return [_header(member.response_name, write_text(member, value, "rfc822"))]
    except (TypeError, AttributeError) as err:
        raise WrongOutputType(str(err)) from err


def _header(name: str, text: str) -> tuple[bytes, bytes]:
    """Return a header; what would end its line becomes a blank."""
    return name.lower().encode(), re.sub(r"[\r\n\x00]", " ", text).encode()


def _body(shape: Shape, inner: Mapping[str, Any]) -> tuple[bytes, bytes]:
    if shape.payload is None:
        written = json_members(shape, inner)
        return (msgspec.json.encode(written) if _has_body(shape) else b""), _JSON
    unknown = inner.keys() - {shape.payload}
    if unknown:
        raise UnknownOutputMember(f"{shape.name} has no member {', '.join(sorted(unknown))} beside its payload")
    value = inner.get(shape.payload)
    member = shape.members[shape.payload]
    if value is None:
        return b"", _JSON
    if member.shape.type == "blob":
        if not isinstance(value, bytes):
            raise WrongOutputType(f"{member.shape.name} is a blob, not {type(value).__name__}")
        return value, b"application/octet-stream"
    if member.shape.type == "string":
        return str(value).encode(), b"text/plain"
    return msgspec.json.encode(json_members(member.shape, value)), _JSON


@cache
def _has_body(shape: Shape) -> bool:
    """Tell whether any member of the structure belongs into the body."""
    return any(member.location is None for member in shape.members.values())
