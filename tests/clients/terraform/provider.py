"""What Terraform's AWS provider does for any resource: apply, refresh, plan, destroy, in its own order of calls.

The provider itself cannot be installed from a package. Its published source says which operations each resource asks,
with which parameters, what it reads of the answers, which states its waiters allow and which errors it expects; the
modules beside this one say the same by botocore. Source: hashicorp/terraform-provider-aws, versions 5 and 6, files of
internal/service/ec2 that each class names; what they share is in find.go, wait.go, status.go and tags_gen.go.

Much that is not configured is sent as an empty value, or as false; so do these classes.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from tests.clients.terraform.refusals import NotFoundError

Ec2 = Any
Values = dict[str, Any]


class Resource:
    """One resource of a configuration. Subclasses say what it asks."""

    kind: ClassVar[str]
    """EC2's name of its type, for tags."""

    defaults: ClassVar[Mapping[str, Any]] = {}
    """What the schema says of attributes that may be left out and that the provider does not compute: read otherwise,
    they are a difference in every plan."""

    gone: ClassVar[tuple[str, ...]] = ()
    """The errors by which its finder learns that it is not there; where there are none, an answer without it."""

    def __init__(self, ec2: Ec2, /, **wanted: Any) -> None:
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
        """Change its configuration and apply that, as a plan with a difference does: tags first.

        None takes an attribute out of the configuration.
        """
        before = self.configured()
        self.wanted = {name: value for name, value in {**self.wanted, **wanted}.items() if value is not None}
        if "tags" in wanted:
            self.update_tags(self.id, before.get("tags") or {}, wanted["tags"])
        changed = {name: value for name, value in wanted.items() if before.get(name) != value and name != "tags"}
        if changed:
            self.update(changed)
        self.refresh()

    def plan(self) -> Values:
        """Refresh, and return what differs from the configuration: nothing, after an apply."""
        self.refresh()
        found = self.state
        return {name: found.get(name) for name, value in self.configured().items() if not _same(found.get(name), value)}

    def is_gone(self) -> bool:
        """Refresh what was destroyed behind the provider's back; found no more, it is dropped from the state."""
        try:
            self.refresh()
        except NotFoundError:
            return True
        except ClientError as err:
            return err.response["Error"]["Code"] in self.gone
        return False

    def configured(self) -> Values:
        """Return what the configuration says, with the schema's defaults."""
        return {**self.defaults, **self.wanted}

    def refresh(self) -> None:
        self.state = self.read()

    def create(self) -> str:
        raise NotImplementedError

    def read(self) -> Values:
        raise NotImplementedError

    def update(self, changed: Values) -> None:
        raise AssertionError(f"the provider would make another one for {changed}")

    def destroy(self) -> None:
        raise NotImplementedError

    def tagged(self, kind: str | None = None) -> Values:
        """Return the parameter by which a resource is made with its tags; none without tags."""
        tags = self.wanted.get("tags")
        return {"TagSpecifications": [{"ResourceType": kind or self.kind, "Tags": pairs(tags)}]} if tags else {}

    def create_tags(self) -> None:
        """Tag what its operation does not make with tags, or did not when the provider learnt of it."""
        self.update_tags(self.id, {}, self.wanted.get("tags") or {})

    def update_tags(self, resource_id: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Remove what is not wanted any more by name and value, and only then write what is new or different."""
        removed = {name: value for name, value in before.items() if name not in after}
        updated = {name: value for name, value in after.items() if before.get(name) != value}
        if removed:
            self.ec2.delete_tags(Resources=[resource_id], Tags=pairs(removed))
        if updated:
            self.ec2.create_tags(Resources=[resource_id], Tags=pairs(updated))


def _same(found: Any, wanted: Any) -> bool:
    """Compare as the provider's plugin SDK does, for which nothing and the zero of a type are one."""
    return (found or None) == (wanted or None)


def given(members: Mapping[str, str], values: Mapping[str, Any]) -> Values:
    """Return the members of a request for those attributes that are configured."""
    return {member: values[name] for name, member in members.items() if values.get(name)}


def completed(wanted: Mapping[str, Any], found: Mapping[str, Any] | None, **defaults: Any) -> Values:
    """Return a configured block as a plan compares it: with its defaults, and with what the provider computes."""
    return {**(found or {}), **defaults, **wanted}


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def tags_of(described: Mapping[str, Any]) -> dict[str, str]:
    """Return tags as the provider reads them: AWS's own are left out."""
    tags = described.get("Tags", ())
    return {tag["Key"]: tag["Value"] for tag in tags if not tag["Key"].startswith("aws:")}


def filters(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]} for name, value in values.items()]


def only(found: list[Values]) -> Values:
    """Return the one thing found; the provider takes several for an error."""
    if not found:
        raise NotFoundError
    assert len(found) == 1, found
    return found[0]
