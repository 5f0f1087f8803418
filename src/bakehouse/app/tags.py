"""Tags on any resource: a record of any taggable type is found by its id's prefix."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from bakehouse.app.allowed_images import may_use
from bakehouse.app.context import AppContext, scope
from bakehouse.app.public_access import may_read
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, not_found
from bakehouse.domain.ids import resource_type_of
from bakehouse.domain.image import Image
from bakehouse.domain.instance import Instance
from bakehouse.domain.instance_metadata import check_shown_tag_keys
from bakehouse.domain.recycle_bin import IN_BIN_TAG, RecycledResource
from bakehouse.domain.retention_rule import RetainedType
from bakehouse.domain.security_group import SecurityGroup, SecurityGroupRule
from bakehouse.domain.snapshot import Snapshot
from bakehouse.domain.tags import check_tags, is_system_key, merged, system_tag, tagged
from bakehouse.store.records import Records

#: resource type, as DescribeTags names it -> the store's records of it.
_TAGGABLE: Final = {
    "dhcp-options": "dhcp_options",
    "egress-only-internet-gateway": "egress_only_internet_gateways",
    "elastic-ip": "elastic_addresses",
    "export-image-task": "export_image_tasks",
    "export-instance-task": "export_instance_tasks",
    "fleet": "fleets",
    "image": "images",
    "image-usage-report": "image_usage_reports",
    "import-image-task": "import_image_tasks",
    "import-snapshot-task": "import_snapshot_tasks",
    "instance": "instances",
    "internet-gateway": "internet_gateways",
    "key-pair": "key_pairs",
    "natgateway": "nat_gateways",
    "launch-template": "launch_templates",
    "network-acl": "network_acls",
    "network-interface": "network_interfaces",
    "placement-group": "placement_groups",
    "prefix-list": "prefix_lists",
    "replace-root-volume-task": "replace_root_volume_tasks",
    "route-table": "route_tables",
    "security-group": "security_groups",
    "snapshot": "snapshots",
    "spot-instances-request": "spot_requests",
    "subnet": "subnets",
    "subnet-cidr-reservation": "subnet_cidr_reservations",
    "volume": "volumes",
    "vpc": "vpcs",
}

#: As DescribeTags names it; rules are kept with their group.
_RULE: Final = "security-group-rule"

#: What others than its owner can tag too, for themselves. Source: EC2 User Guide, "Tag restrictions".
_SHARED: Final = ("image", "snapshot")

#: What can be tagged in the Recycle Bin too. Source: EBS User Guide, "Considerations for Recycle Bin".
_RECYCLED: Final = {
    RetainedType.IMAGE: "image",
    RetainedType.SNAPSHOT: "snapshot",
    RetainedType.VOLUME: "volume",
}


@dataclass(frozen=True, slots=True)
class TagOfResource:
    """One row of DescribeTags."""

    resource_id: str
    resource_type: str
    key: str
    value: str


class Tags:
    """Use cases on tags."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(self, caller: Caller, resource_ids: Iterable[str], tags: Mapping[str, str]) -> None:
        """Write tags on every resource, or on none: one missing resource refuses all."""
        check_tags(tags)
        async with self._context.store.transaction() as tx:
            changes = []
            for record in [self._resource(caller, resource_id) for resource_id in resource_ids]:
                if isinstance(record, Instance) and record.metadata_options.tags_enabled:
                    check_shown_tag_keys(tags)
                changes.append((record, merged(record.tags, tags)))
            for changed in _tagged(changes):
                tx.put(changed)

    async def delete(self, caller: Caller, resource_ids: Iterable[str], tags: Mapping[str, str | None] | None) -> None:
        """Remove tags: all when `tags` is None; a key with a value only when the tag has just that value."""
        for key in tags or ():
            if is_system_key(key):
                raise system_tag()
        async with self._context.store.transaction() as tx:
            changes = []
            for record in [self._resource(caller, resource_id) for resource_id in resource_ids]:
                kept = {k: v for k, v in record.tags.items() if is_system_key(k) or not _named(tags, k, v)}
                if kept != record.tags:
                    changes.append((record, kept))
            for changed in _tagged(changes):
                tx.put(changed)

    def describe(self, caller: Caller) -> Iterator[TagOfResource]:
        """Yield every tag that the caller gave in the region: in the Recycle Bin too, and to what others share."""
        for resource_type, name in _TAGGABLE.items():
            records: Records[Any] = self._context.store.records[name]
            for record in records.by("scope")[caller.account_id, caller.region].values():
                for key, value in record.tags.items():
                    yield TagOfResource(record.id, resource_type, key, value)
        for group in scope(self._context.store.security_groups, caller):
            for rule in group.rules:
                for key, value in rule.tags.items():
                    yield TagOfResource(rule.id, _RULE, key, value)
        for retained_type, resource_type in _RECYCLED.items():
            recycled = self._context.store.recycle_bin.by("kind")[caller.account_id, caller.region, retained_type]
            for it in recycled.values():
                for key, value in (*it.tags.items(), IN_BIN_TAG):
                    yield TagOfResource(it.id, resource_type, key, value)
        yield from self._of_others(caller)

    def _of_others(self, caller: Caller) -> Iterator[TagOfResource]:
        """Yield the tags that the caller gave images and snapshots of others, as long as they are there for it."""
        for resource_type in _SHARED:
            records: Records[Any] = self._context.store.records[_TAGGABLE[resource_type]]
            for record in records.by("other_tagger")[caller.account_id, caller.region].values():
                if self._is_shared(caller, record):
                    for key, value in record.tags_for(caller.account_id).items():
                        yield TagOfResource(record.id, resource_type, key, value)

    def _resource(self, caller: Caller, resource_id: str) -> Any:  # noqa: ANN401 - a record of any taggable type
        resource_type = resource_type_of(resource_id)
        if resource_type == _RULE:
            return self._rule(caller, resource_id)
        if resource_type not in _TAGGABLE:
            raise Ec2Error("InvalidID", f"The ID '{resource_id}' is not valid")
        store = self._context.store
        record = store.records[_TAGGABLE[resource_type]].get(resource_id) or store.recycle_bin.get(resource_id)
        if record is None or record.region != caller.region:
            raise not_found(resource_type, [resource_id])
        if record.account_id == caller.account_id:
            return record
        if isinstance(record, Image | Snapshot) and self._is_shared(caller, record):
            return _OfAnother(record, caller.account_id)
        raise not_found(resource_type, [resource_id])

    def _is_shared(self, caller: Caller, record: Image | Snapshot) -> bool:
        """Tell whether what is another account's is there for the caller."""
        if isinstance(record, Image):
            return may_use(self._context, caller, record)
        return may_read(self._context, caller.account_id, record)

    def _rule(self, caller: Caller, rule_id: str) -> "_RuleOfGroup":
        for group in scope(self._context.store.security_groups, caller):
            for rule in group.rules:
                if rule.id == rule_id:
                    return _RuleOfGroup(group, rule)
        raise not_found(_RULE, [rule_id])


@dataclass(frozen=True, slots=True)
class _RuleOfGroup:
    """A rule, which has no record but its group's."""

    group: SecurityGroup
    rule: SecurityGroupRule

    @property
    def tags(self) -> dict[str, str]:
        return self.rule.tags


@dataclass(frozen=True, slots=True)
class _OfAnother:
    """What another account shares, with the tags that one account gave it."""

    record: Image | Snapshot
    account_id: str

    @property
    def tags(self) -> dict[str, str]:
        return self.record.tags_for(self.account_id)

    def tagged(self, tags: dict[str, str]) -> Image | Snapshot:
        others = {account: kept for account, kept in self.record.tags_of_others.items() if account != self.account_id}
        if tags:
            others[self.account_id] = tags
        return replace(self.record, tags_of_others=others)


def _tagged(changes: Iterable[tuple[Any, dict[str, str]]]) -> Iterator[Any]:
    """Yield records with other tags, each once: of a group that changes with its rules, one that has all of it."""
    groups: dict[str, SecurityGroup] = {}
    for record, tags in changes:
        match record:
            case _RuleOfGroup(group, rule):
                group = groups.get(group.id, group)
                rules = tuple(replace(it, tags=tags) if it.id == rule.id else it for it in group.rules)
                groups[group.id] = replace(group, rules=rules)
            case SecurityGroup(id=group_id):
                groups[group_id] = replace(groups.get(group_id, record), tags=tags)
            case RecycledResource() | _OfAnother():
                yield record.tagged(tags)
            case _:
                yield tagged(record, tags)
    yield from groups.values()


def _named(tags: Mapping[str, str | None] | None, key: str, value: str) -> bool:
    return tags is None or (key in tags and tags[key] in (None, value))
