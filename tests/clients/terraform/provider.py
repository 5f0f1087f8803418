"""What Terraform's AWS provider does for any resource: apply, refresh, plan, destroy, in its own order of calls.

The provider itself cannot be installed from a package. Its published source says which operations each resource asks,
with which parameters, what it reads of the answers and which errors it expects; the modules beside this one say the
same by botocore. Source: hashicorp/terraform-provider-aws, internal/service/ec2, version 6.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from botocore.exceptions import ClientError

Ec2 = Any
Values = dict[str, Any]

#: How often something is asked for that is to come or go. A server that answers at once needs one or two.
_LOOKS: Final = 200


class Resource:
    """One resource of a configuration. Subclasses say what it asks."""

    kind: str
    """EC2's name of its type, for tags."""

    def __init__(self, ec2: Ec2, **wanted: Any) -> None:
        self.ec2 = ec2
        self.id = ""
        self.state: Values = {}
        self.wanted = wanted

    def apply(self) -> "Resource":
        """Create it, and remember what is read of it."""
        self.id = self.create()
        self.refresh()
        return self

    def change(self, **wanted: Any) -> None:
        """Change its configuration and apply that, as a plan with a difference does."""
        before = dict(self.wanted)
        self.wanted = {**self.wanted, **wanted}
        if "tags" in wanted:
            self.update_tags(before.get("tags", {}), wanted["tags"])
        self.update({name: value for name, value in wanted.items() if before.get(name) != value})
        self.refresh()

    def plan(self) -> Values:
        """Refresh, and return what differs from the configuration: nothing, after an apply."""
        self.refresh()
        return {name: self.state.get(name) for name, value in self.wanted.items() if self.state.get(name) != value}

    def refresh(self) -> None:
        self.state = self.read()

    def create(self) -> str:
        raise NotImplementedError

    def read(self) -> Values:
        raise NotImplementedError

    def update(self, changed: Values) -> None:
        assert changed.keys() <= {"tags"}, "the provider would make another one"

    def destroy(self) -> None:
        raise NotImplementedError

    def tagged(self, kind: str | None = None) -> Values:
        """Return the parameter by which a resource is made with its tags; none without tags."""
        tags = self.wanted.get("tags")
        return {"TagSpecifications": [{"ResourceType": kind or self.kind, "Tags": pairs(tags)}]} if tags else {}

    def update_tags(self, before: dict[str, str], after: dict[str, str]) -> None:
        removed = {name: value for name, value in before.items() if after.get(name) != value}
        added = {name: value for name, value in after.items() if before.get(name) != value}
        if removed:
            self.ec2.delete_tags(Resources=[self.id], Tags=pairs(removed))
        if added:
            self.ec2.create_tags(Resources=[self.id], Tags=pairs(added))


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def tags_of(described: Values) -> dict[str, str]:
    """Return tags as the provider reads them: AWS's own are left out."""
    tags = described.get("Tags", ())
    return {tag["Key"]: tag["Value"] for tag in tags if not tag["Key"].startswith("aws:")}


def filters(**values: str) -> list[dict[str, Any]]:
    return [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in values.items()]


def only(found: list[Values]) -> Values:
    """Return the one thing found; the provider takes several for an error."""
    assert len(found) == 1, found
    return found[0]


def wait_until(holds: Callable[[], bool]) -> None:
    """Ask until something holds, as the provider's waiters do."""
    assert any(holds() for _ in range(_LOOKS))


def wait_until_gone(find: Callable[[], Any], *codes: str) -> None:
    """Ask until something is not found: one of the codes, or nothing in the answer."""

    def is_gone() -> bool:
        try:
            return not find()
        except ClientError as err:
            if err.response["Error"]["Code"] not in codes:
                raise
            return True

    wait_until(is_gone)


@contextmanager
def tolerated(*codes: str) -> Iterator[None]:
    """Let errors pass that the provider expects."""
    try:
        yield
    except ClientError as err:
        if err.response["Error"]["Code"] not in codes:
            raise
