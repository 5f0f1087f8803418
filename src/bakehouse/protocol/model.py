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

Service = Literal["ec2", "sts"]

#: The API versions spoken here, each the newest of its service.
API_VERSIONS: Final[dict[Service, str]] = {"ec2": "2016-11-15", "sts": "2011-06-15"}

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
    location_name: str | None = None
    query_name: str | None = None
    timestamp_format: str | None = None
    result_wrapper: str | None = None
    flattened: bool = False
    idempotency_token: bool = False


class _Shape(_Description):
    type: str
    members: dict[str, _Reference] = {}
    member: _Reference | None = None
    required: frozenset[str] = frozenset()
    enum: tuple[str | int, ...] = ()
    min: int | float | None = None
    max: int | float | None = None
    pattern: str | None = None
    timestamp_format: str | None = None
    flattened: bool = False


class _Operation(_Description):
    name: str
    input: _Reference | None = None
    output: _Reference | None = None


class _Metadata(_Description):
    protocol: str
    api_version: str
    xml_namespace: str = ""


class _Service(_Description):
    metadata: _Metadata
    shapes: dict[str, _Shape]
    operations: dict[str, _Operation]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A member of a structure, or the element of a list.

    Attributes:
        name: The name in dicts, as boto3 has it: `InstanceIds`.
        request_name: The name in a request: `InstanceId`.
        response_name: The name of the XML element: `instanceIdSet`.
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


class Shape:
    """A type of the model. Each name is one object for the life of its `ServiceModel`.

    Attributes:
        type: `structure`, `list`, `string`, `integer`, `long`, `float`, `double`, `boolean`, `blob`,
            `timestamp`.
        required: Names of the members that a request must give.
        enum: The values of an enumeration, as text; empty for other shapes.
        minimum: Least value of a number, least length of a string or list.
        maximum: The same at the other end.
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


@dataclass(frozen=True, slots=True)
class Pages:
    """How an operation pages: the limits of `MaxResults`, where the model has them."""

    smallest: int | None
    largest: int | None


@dataclass(frozen=True, eq=False)
class Operation:
    """One action of the API.

    Attributes:
        result_wrapper: The element around the answer's members (query protocol), or None (EC2).
    """

    model: "ServiceModel" = field(repr=False)
    name: str
    input_shape: Shape | None
    output_shape: Shape | None
    result_wrapper: str | None
    _idempotency_token: str | None = field(repr=False)

    @cached_property
    def has_dry_run(self) -> bool:
        """Whether a request may ask for permission only, with `DryRun`."""
        return "DryRun" in self._input

    @cached_property
    def client_token_member(self) -> str | None:
        """The member that makes a repeated request the same request, or None.

        Some operations have the member but lack the model's trait for it; there the name decides.
        """
        return self._idempotency_token or ("ClientToken" if "ClientToken" in self._input else None)

    @cached_property
    def pages(self) -> Pages | None:
        """The page limits of an operation with `MaxResults` and `NextToken`; None if it does not page."""
        if not {"MaxResults", "NextToken"} <= self._input.keys():
            return None
        limit = self._input["MaxResults"].shape
        return Pages(
            None if limit.minimum is None else int(limit.minimum),
            None if limit.maximum is None else int(limit.maximum),
        )

    @property
    def _input(self) -> "Mapping[str, Member]":
        return {} if self.input_shape is None else self.input_shape.members


class ServiceModel:
    """The operations of one service.

    Attributes:
        protocol: `ec2`, or `query` (STS).
        api_version: The date that requests carry as `Version`.
        namespace: The XML namespace of answers, exactly as AWS writes it.
    """

    def __init__(self, description: _Service) -> None:
        self._description = description
        self._shapes: dict[str, Shape] = {}
        self._operations: dict[str, Operation] = {}
        self.protocol = description.metadata.protocol
        self.api_version = description.metadata.api_version
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
        location = reference.location_name or name
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
            _idempotency_token=token,
        )
