"""The protocols that services speak: a signed request in, bytes of an answer out.

A service's protocol is what its model says: `ec2` and `query` (XML answers), `json` (the operation in a header) or
`rest-json` (the operation in method and path). One `Wire` stands for one service.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

import msgspec

from bakehouse.protocol.errors import ProtocolError, error_document
from bakehouse.protocol.form import decode_form
from bakehouse.protocol.json_answers import json_members
from bakehouse.protocol.json_errors import error_body, name_of_error
from bakehouse.protocol.json_requests import decode_json, read_structure
from bakehouse.protocol.model import Operation, Service, ServiceModel
from bakehouse.protocol.requests import parse_request
from bakehouse.protocol.responses import UnknownOutputMember, serialize_response
from bakehouse.protocol.rest import RestRequest, Routes, parse_rest, serialize_rest, split_parameters
from bakehouse.protocol.signed_request import SignedRequest
from bakehouse.protocol.sigv4 import UNSIGNED_PAYLOAD

_XML_TYPE: Final = (b"content-type", b"text/xml;charset=UTF-8")


#: What EC2 has names of its own for. Source: IAM and STS API References, common errors, ValidationError.
_VALIDATION_ERRORS: Final = frozenset({"InvalidCharacter", "InvalidParameterValue", "MissingParameter"})


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose operation is known; its input is read when `read` is called.

    `read` raises ProtocolError for an input that does not fit the model, and nothing else.
    """

    operation: Operation
    read: Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back, without the headers that every answer has."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error to be answered.

    Attributes:
        code: EC2's code, or the name of the error's shape in the service's model.
        message: The sentence a user reads.
        status: Of the answer, where the model does not say another.
        reason: The `Reason` of errors that have one, or None.
    """

    code: str
    message: str
    status: int
    reason: str | None = None


class Wire(Protocol):
    """How one service is spoken to."""

    def call(self, request: SignedRequest) -> Call:
        """Return what a request calls. ProtocolError: no operation of the service."""
        ...

    def answer(self, operation: Operation, response: Mapping[str, Any], request_id: str) -> Answer:
        """Return a successful answer. OutputNotInModel: the response is none of this operation."""
        ...

    def refusal(self, refusal: Refusal, request_id: str) -> Answer:
        """Return an error in the form that the service's clients parse."""
        ...


class QueryWire:
    """The `ec2` and `query` protocols: parameters of a form or a query string, XML answers."""

    def __init__(self, model: ServiceModel) -> None:
        """Speak for a service."""
        self._model = model
        self._error_namespace = None if model.protocol == "ec2" else model.namespace

    def call(self, request: SignedRequest) -> Call:
        """Find the operation by the parameter `Action`. ProtocolError: `InvalidAction`, `MalformedQueryString`."""
        parameters = decode_form(request.query)
        if request.body:
            parameters += decode_form(request.body)
        name = next((value for parameter, value in parameters if parameter == "Action"), "")
        operation = self._model.operation(name)
        if operation is None:
            raise ProtocolError("InvalidAction", f"The action {name} is not valid for this web service.")
        return Call(operation, lambda: self._read(operation, parameters))

    def _read(self, operation: Operation, parameters: list[tuple[str, str]]) -> dict[str, Any]:
        try:
            return parse_request(operation, parameters)
        except ProtocolError as err:
            if self._error_namespace is not None and err.code in _VALIDATION_ERRORS:
                raise ProtocolError("ValidationError", err.message) from err
            raise

    def answer(self, operation: Operation, response: Mapping[str, Any], request_id: str) -> Answer:
        """Return the XML document of the operation."""
        return Answer(200, [_XML_TYPE], serialize_response(operation, response, request_id))

    def refusal(self, refusal: Refusal, request_id: str) -> Answer:
        """Return the error document of the service."""
        document = error_document(
            refusal.code, refusal.message, request_id, namespace=self._error_namespace, http_status=refusal.status
        )
        return Answer(refusal.status, [_XML_TYPE], document)


class JsonWire:
    """The `json` protocol: the operation in `X-Amz-Target`, JSON both ways. Source: Smithy 2.0, AWS JSON 1.1."""

    def __init__(self, model: ServiceModel) -> None:
        """Speak for a service."""
        self._model = model
        self._type = (b"content-type", f"application/x-amz-json-{self._model.json_version}".encode())

    def call(self, request: SignedRequest) -> Call:
        """Find the operation. ProtocolError: `UnknownOperationException`."""
        target = next((value for name, value in request.headers if name.lower() == b"x-amz-target"), b"")
        prefix, _, name = target.decode("latin-1").rpartition(".")
        operation = self._model.operation(name) if prefix == self._model.target_prefix else None
        if operation is None:
            raise ProtocolError("UnknownOperationException", "The service has no operation of this X-Amz-Target.")

        def read() -> dict[str, Any]:
            value = decode_json(request.body)
            shape = operation.input_shape
            return {} if shape is None else read_structure(shape, value, shape.members.values())

        return Call(operation, read)

    def answer(self, operation: Operation, response: Mapping[str, Any], request_id: str) -> Answer:  # noqa: ARG002 - the id is in a header
        """Return the JSON object of the operation; nothing where its model has no output."""
        if operation.output_shape is None:
            if response:
                raise UnknownOutputMember(f"{operation.name} has no output, so not {', '.join(response)}")
            return Answer(200, [self._type], b"")
        return Answer(200, [self._type], msgspec.json.encode(json_members(operation.output_shape, response)))

    def refusal(self, refusal: Refusal, request_id: str) -> Answer:  # noqa: ARG002 - the id is in a header
        """Return the error with its name in `__type`."""
        name, status = name_of_error(self._model, refusal.code, refusal.status)
        body = {"__type": name, **error_body(self._model, name, refusal.message, refusal.reason)}
        # All errors of this protocol that are not the server's are 400, whoever is at fault.
        return Answer(status if status >= 500 else 400, [self._type], msgspec.json.encode(body))  # noqa: PLR2004


class RestWire:
    """The `rest-json` protocol."""

    def __init__(self, model: ServiceModel) -> None:
        """Compile the paths of a service."""
        self._model = model
        self._routes = Routes(self._model)

    def call(self, request: SignedRequest) -> Call:
        """Find the operation by method and path.

        ProtocolError: `UnknownOperationException` (404), `SerializationException`, `InvalidSignatureException` (the
        body is not signed, and the operation is not one whose body may be left out).
        """
        operation, labels = self._routes.find(request.method, request.path)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers}
        if headers.get("x-amz-content-sha256") == UNSIGNED_PAYLOAD and not operation.unsigned_payload:
            raise ProtocolError("SignatureDoesNotMatch", "The body of this request has to be signed.", 403)

        def read() -> dict[str, Any]:
            query = split_parameters(request.query) if request.query else []
            return parse_rest(operation, RestRequest(labels, query, headers, request.body))

        return Call(operation, read)

    def answer(self, operation: Operation, response: Mapping[str, Any], request_id: str) -> Answer:  # noqa: ARG002 - the id is in a header
        """Return the answer as its model spreads it over status, headers and body."""
        return Answer(*serialize_rest(operation, response))

    def refusal(self, refusal: Refusal, request_id: str) -> Answer:  # noqa: ARG002 - the id is in a header
        """Return the error with its name in a header."""
        name, status = name_of_error(self._model, refusal.code, refusal.status)
        body = msgspec.json.encode(error_body(self._model, name, refusal.message, refusal.reason))
        headers = [(b"content-type", b"application/json"), (b"x-amzn-errortype", name.encode())]
        return Answer(status, headers, body)


_BY_PROTOCOL: Final[Mapping[str, Callable[[ServiceModel], Wire]]] = {
    "ec2": QueryWire,
    "json": JsonWire,
    "query": QueryWire,
    "rest-json": RestWire,
}


@cache
def wire_of(service: Service) -> Wire:
    """Return the wire of a service, the same for every server of this process: what is compiled of it stays."""
    model = ServiceModel.load(service)
    return _BY_PROTOCOL[model.protocol](model)
