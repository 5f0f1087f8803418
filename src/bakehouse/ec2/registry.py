"""The register of operations: name, handler, what of the request is honoured, what a client token repeats.

    @operation("StopInstances", honours="InstanceIds Force")
    async def stop_instances(ctx: RequestContext, request: Request) -> Response: ...

A member that the model has and `honours` does not name is refused, not ignored. DryRun and ClientToken are
honoured for every operation that has them, by the dispatcher (`dispatch.py`). An operation of another service than EC2
names it: `@operation("CreateRule", service="rbin", honours=...)`.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from bakehouse.app.app import App
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import not_honoured

Request = dict[str, Any]
Response = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request: who asks, and what answers."""

    app: App
    caller: Caller
    operation: str
    request_id: str
    page_key: bytes
    """Signs page tokens."""


Handler = Callable[[RequestContext, Request], Awaitable[Response]]
Replay = Callable[[RequestContext, str], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that Bakehouse answers."""

    name: str
    handler: Handler
    honours: "Members"
    reasons: Mapping[str, str]
    """Path of a member that is not honoured to a sentence that says why not."""
    replay: Replay | None = None
    """Answers a repeated client token from the id of the resource that it made."""


@dataclass(frozen=True, slots=True)
class Members:
    """A tree of member names. A member without a subtree is honoured with all that is in it."""

    tree: dict[str, "Members"] = field(default_factory=dict)

    def refuse_others(self, value: Mapping[str, Any], reasons: Mapping[str, str], path: str = "") -> None:
        """Refuse a request that gives a member outside the tree; `reasons` tells why, by the member's path."""
        for name, given in value.items():
            inner = self.tree.get(name)
            if inner is None:
                raise not_honoured(path + name, reasons.get(path + name, ""))
            if inner.tree:
                for entry in given if isinstance(given, list) else (given,):
                    inner.refuse_others(entry, reasons, f"{path}{name}.")

    def paths(self, prefix: str = "") -> Iterator[str]:
        """Yield every honoured member with its path, for the reference page."""
        for name, inner in sorted(self.tree.items()):
            yield prefix + name
            yield from inner.paths(f"{prefix}{name}.")


def members(text: str) -> Members:
    """Read member names separated by white space; `Placement.AvailabilityZone` honours one member of Placement."""
    root = Members()
    for path in text.split():
        node = root
        for name in path.split("."):
            node = node.tree.setdefault(name, Members())
    return root


#: The services that are answered, each with its model and its protocol.
Service = Literal["ebs", "ec2", "ec2-instance-connect", "iam", "rbin", "ssm", "sts"]

#: service -> name -> operation.
SERVICES: Final[dict[str, dict[str, Operation]]] = {
    "ebs": {},
    "ec2": {},
    "ec2-instance-connect": {},
    "iam": {},
    "rbin": {},
    "ssm": {},
    "sts": {},
}

#: Those of EC2.
OPERATIONS: Final[dict[str, Operation]] = SERVICES["ec2"]


def operation(
    name: str,
    *,
    service: Service = "ec2",
    honours: str = "",
    reasons: Mapping[str, str] = MappingProxyType({}),
    replay: Replay | None = None,
) -> Callable[[Handler], Handler]:
    """Register a handler. `reasons` says for members that are not honoured why, where that is not plain."""

    def register(handler: Handler) -> Handler:
        if name in SERVICES[service]:
            msg = f"{name} has two handlers"
            raise ValueError(msg)
        SERVICES[service][name] = Operation(name, handler, members(honours), reasons, replay)
        return handler

    return register
