"""The service model: which operations and shapes the API has, as botocore publishes them.

Read straight from botocore's data files: its own loader takes ten times as long and keeps all documentation
in memory. Nothing is resolved before it is asked for, so that a server pays only for the operations it is
called with.
"""

import gzip
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

Service = Literal["ebs", "ec2", "ec2-instance-connect", "iam", "rbin", "ssm", "sts"]

#: The API versions spoken here, each the newest of its service.
API_VERSIONS: Final[dict[Service, str]] = {
    "ebs": "2019-11-02",
    "ec2": "2016-11-15",
    "ec2-instance-connect": "2018-04-02",
    "iam": "2010-05-08",
    "rbin": "2021-06-15",
    "ssm": "2014-11-06",
    "sts": "2011-06-15",
}

#: (structure, member) where an empty string says something else than leaving the member out. Everywhere else
#: an empty value means "not given", as clients send many of them. Source: EC2 API Reference,
#: BlockDeviceMapping (NoDevice), DeleteTags (a key with an empty value), ModifyImageAttribute and
#: ModifyInstanceAttribute (to clear).
EMPTY_IS_A_VALUE: Final = frozenset(
    {
        ("BlockDeviceMapping", "NoDevice"),
        ("FleetBlockDeviceMappingRequest", "NoDevice"),
        ("LaunchTemplateBlockDeviceMappingRequest", "NoDevice"),
        ("ScheduledInstancesBlockDeviceMapping", "NoDevice"),
        ("Tag", "Value"),
        ("AttributeValue", "Value"),
        ("BlobAttributeValue", "Value"),
        ("SecureBlobAttributeValue", "Value"),
        ("ModifyInstancePlacementRequest", "GroupName"),
    }
)


class _Description(msgspec.Struct, rename="camel"):
    """Base of what is read from a model file; fields not listed (documentation above all) are skipped."""


class _Reference(_Description):
    """A use of a shape, with the traits of that use."""

    shape: str
    location: str | None = None
    location_name: str | None = None
    query_name: str | None = None
    timestamp_format: str | None = None
    result_wrapper: str | None = None
    flattened: bool = False
    idempotency_token: bool = False


class _ErrorTrait(_Description):
    http_status_code: int = 400


class _Shape(_Description):
    type: str
    members: dict[str, _Reference] = {}
    member: _Reference | None = None
    key: _Reference | None = None
    value: _Reference | None = None
    payload: str | None = None
    error: _ErrorTrait | None = None
    exception: bool = False
    required: frozenset[str] = frozenset()
    enum: tuple[str | int, ...] = ()
    min: int | float | None = None
    max: int | float | None = None
    pattern: str | None = None
    timestamp_format: str | None = None
    flattened: bool = False


class _Http(_Description):
    method: str = "POST"
    request_uri: str = "/"
    response_code: int = 200


class _Operation(_Description):
    name: str
    http: _Http = msgspec.field(default_factory=_Http)
    unsigned_payload: bool = False
    input: _Reference | None = None
    output: _Reference | None = None


class _Metadata(_Description):
    protocol: str
    api_version: str
    xml_namespace: str = ""
    target_prefix: str = ""
    json_version: str = ""


class _Service(_Description):
    metadata: _Metadata
    shapes: dict[str, _Shape]
    operations: dict[str, _Operation]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A member of a structure, the element of a list, or the key or value of a map.

    Attributes:
        name: The name in dicts, as boto3 has it: `InstanceIds`.
        request_name: The name in a request: `InstanceId`.
        response_name: The name of the XML element, of the JSON member, of the header: `instanceIdSet`.
        location: Where a REST request or answer has it: `uri`, `querystring`, `header`, `headers`, `statusCode`;
            None in the body.
        flattened: A list whose elements stand beside each other without an element around them.
        timestamp_format: `iso8601`, `unixTimestamp` or `rfc822` where this use of a timestamp says so.
        empty_is_a_value: An empty string in a request is a value, not an absent one.
    """

    name: str
    shape: "Shape"
    request_name: str
    response_name: str
    flattened: bool
    timestamp_format: str | None
    empty_is_a_value: bool
    location: str | None = None


class Shape:
    """A type of the model. Each name is one object for the life of its `ServiceModel`.

    Attributes:
        type: `structure`, `list`, `map`, `string`, `integer`, `long`, `float`, `double`, `boolean`, `blob`,
            `timestamp`.
        required: Names of the members that a request must give.
        enum: The values of an enumeration, as text; empty for other shapes.
        minimum: Least value of a number, least length of a string or list.
        maximum: The same at the other end.
        payload: The member of a structure that is the whole body of a REST request or answer, or None.
        http_status: The status of an answer with this error; of shapes that are no errors nothing is said.
    """

    def __init__(self, model: "ServiceModel", name: str, description: _Shape) -> None:
        self._model = model
        self._description = description
        self.name = name
        self.type = description.type
        self.required = description.required
        self.enum = frozenset(str(value) for value in description.enum)
        self.minimum = description.min
        self.maximum = description.max
        self.pattern = description.pattern
        self.payload = description.payload
        self.http_status = 400 if description.error is None else description.error.http_status_code

    def __repr__(self) -> str:
        return f"<Shape {self.name}: {self.type}>"

    @cached_property
    def members(self) -> "Mapping[str, Member]":
        """The members of a structure by name; empty for other shapes."""
        return {
            name: self._model.member(name, reference, empty_is_a_value=(self.name, name) in EMPTY_IS_A_VALUE)
            for name, reference in self._description.members.items()
        }

    @cached_property
    def element(self) -> Member:
        """What a list holds.

        `request_name` is empty where elements are numbered directly (`Value.1`), as all of EC2's are, and
        otherwise the part of the name between list and number (`Value.member.1`).
        """
        reference = self._description.member
        if reference is None:
            raise TypeError(f"{self.name} is no list")
        numbered_directly = self._model.protocol == "ec2" or self._description.flattened
        name = reference.location_name or "member"
        return Member(
            name=name,
            shape=self._model.shape(reference.shape),
            request_name="" if numbered_directly else name,
            response_name=name,
            flattened=False,
            timestamp_format=reference.timestamp_format,
            empty_is_a_value=True,  # a numbered element is there, or the numbers would shift
        )

    @cached_property
    def entry(self) -> tuple[Member, Member]:
        """The key and the value of a map."""
        if self._description.key is None or self._description.value is None:
            raise TypeError(f"{self.name} is no map")
        key, value = (
            self._model.member(name, reference, empty_is_a_value=True)
            for name, reference in (("key", self._description.key), ("value", self._description.value))
        )
        return key, value


@dataclass(frozen=True, eq=False)
class Operation:
    """One action of the API.

    Attributes:
        result_wrapper: The element around the answer's members (query protocol), or None (EC2).
        method: Of its HTTP requests.
        uri: The path of its requests, with `{labels}`.
        status: Of a successful answer.
        unsigned_payload: Clients may leave the body out of the signature.
    """

    model: "ServiceModel" = field(repr=False)
    name: str
    input_shape: Shape | None
    output_shape: Shape | None
    result_wrapper: str | None
    method: str
    uri: str
    status: int
    unsigned_payload: bool
    _idempotency_token: str | None = field(repr=False)

    @cached_property
    def client_token_member(self) -> str | None:
        """The member that makes a repeated request the same request, or None.

        Some operations have the member but lack the model's trait for it; there the name decides.
        """
        return self._idempotency_token or ("ClientToken" if "ClientToken" in self._input else None)

    @property
    def _input(self) -> "Mapping[str, Member]":
        return {} if self.input_shape is None else self.input_shape.members


class ServiceModel:
    """The operations of one service.

    Attributes:
        protocol: `ec2`, `query` (STS), `json` (SSM) or `rest-json` (the others).
        api_version: The date that requests carry as `Version`.
        target_prefix: What stands before the operation's name in `X-Amz-Target`, without the dot.
        json_version: Of the content type of JSON.
        namespace: The XML namespace of answers, exactly as AWS writes it.
    """

    def __init__(self, description: _Service) -> None:
        self._description = description
        self._shapes: dict[str, Shape] = {}
        self._operations: dict[str, Operation] = {}
        self.protocol = description.metadata.protocol
        self.api_version = description.metadata.api_version
        self.target_prefix = description.metadata.target_prefix
        self.json_version = description.metadata.json_version or "1.1"
        namespace = description.metadata.xml_namespace
        # The model has EC2's namespace without the slash that AWS sends and that libcloud compares.
        self.namespace = namespace if self.protocol != "ec2" else namespace.removesuffix("/") + "/"

    @classmethod
    def load(cls, service: Service) -> Self:
        """Read the model of a service from botocore's data; some 30 ms for EC2.

        Raises:
            FileNotFoundError: The installed botocore does not have this version of the API.
        """
        folder = resources.files("botocore") / "data" / service / API_VERSIONS[service]
        packed = folder / "service-2.json.gz"  # a wheel has it packed, a source checkout plain
        text = gzip.decompress(packed.read_bytes()) if packed.is_file() else (folder / "service-2.json").read_bytes()
        return cls(msgspec.json.decode(text, type=_Service))

    @classmethod
    def from_description(cls, description: "Mapping[str, Any]") -> Self:
        """Make a model of a parsed `service-2.json`."""
        return cls(msgspec.convert(description, _Service))

    @property
    def operation_names(self) -> frozenset[str]:
        """All operations of the service."""
        return frozenset(self._description.operations)

    def operation(self, name: str) -> Operation | None:
        """Return the operation, or None if the service has none of that name. Case counts, as with AWS."""
        known = self._operations.get(name)
        if known is None:
            description = self._description.operations.get(name)
            if description is None:
                return None
            known = self._operations[name] = self._resolve(description)
        return known

    def error(self, code: str) -> Shape | None:
        """Return the shape of the error that clients know by this code, or None if the model has none."""
        description = self._description.shapes.get(code)
        return self.shape(code) if description is not None and description.exception else None

    def shape(self, name: str) -> Shape:
        """Return the shape of that name, always the same object.

        Raises:
            KeyError: The model has no such shape.
        """
        known = self._shapes.get(name)
        if known is None:
            known = self._shapes[name] = Shape(self, name, self._description.shapes[name])
        return known

    def member(self, name: str, reference: _Reference, *, empty_is_a_value: bool) -> Member:
        """Resolve one use of a shape; `Shape.members` is the way to it."""
        shape = self._description.shapes[reference.shape]
        location = reference.location_name or ("" if reference.location == "headers" else name)
        request_name = location
        if self.protocol == "ec2":
            request_name = reference.query_name or location[0].upper() + location[1:]
        return Member(
            name=name,
            shape=self.shape(reference.shape),
            request_name=request_name,
            response_name=location,
            flattened=reference.flattened or shape.flattened,
            timestamp_format=reference.timestamp_format or shape.timestamp_format,
            empty_is_a_value=empty_is_a_value,
            location=reference.location,
        )

    def _resolve(self, description: _Operation) -> Operation:
        token = None
        if description.input is not None:
            members = self._description.shapes[description.input.shape].members
            token = next((name for name, reference in members.items() if reference.idempotency_token), None)
        return Operation(
            model=self,
            name=description.name,
            input_shape=None if description.input is None else self.shape(description.input.shape),
            output_shape=None if description.output is None else self.shape(description.output.shape),
            result_wrapper=None if description.output is None else description.output.result_wrapper,
            method=description.http.method,
            uri=description.http.request_uri,
            status=description.http.response_code,
            unsigned_payload=description.unsigned_payload,
            _idempotency_token=token,
        )
