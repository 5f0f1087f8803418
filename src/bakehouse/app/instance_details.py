"""Instances with all that an answer about them shows, gathered once and kept as long as nothing of it changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from bakehouse.app.context import AppContext, scope
from bakehouse.app.public_names import naming_of
from bakehouse.domain.caller import Caller
from bakehouse.domain.instance import Instance
from bakehouse.domain.network_interface import NetworkInterface
from bakehouse.domain.public_names import PublicNaming
from bakehouse.domain.security_group import SecurityGroup
from bakehouse.domain.volume import Volume


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class InstanceDetails:
    """An instance, its interfaces, its volumes and its groups. The same object stands for unchanged records."""

    instance: Instance
    interfaces: tuple[NetworkInterface, ...]
    """By device index; none when it is terminated."""
    volumes: tuple[Volume, ...]
    """Those attached, the root first."""
    interface_groups: tuple[tuple[SecurityGroup, ...], ...]
    """For each interface its groups, in its order."""
    naming: PublicNaming = PublicNaming.ADDRESS
    """What public addresses are called in its VPC."""

    @property
    def interface(self) -> NetworkInterface | None:
        """The primary one; None when it is terminated."""
        return self.interfaces[0] if self.interfaces else None

    @property
    def groups(self) -> tuple[SecurityGroup, ...]:
        """The primary interface's."""
        return self.interface_groups[0] if self.interface_groups else ()

    def stands_for(self, other: "InstanceDetails") -> bool:
        """Tell whether both are made of the very same records."""
        return (
            self.instance is other.instance
            and self.naming is other.naming
            and _same(self.interfaces, other.interfaces)
            and _same(self.volumes, other.volumes)
            and len(self.interface_groups) == len(other.interface_groups)
            and all(map(_same, self.interface_groups, other.interface_groups))
        )


class InstanceGatherer:
    """Gathers details from the records."""

    def __init__(self, context: AppContext) -> None:
        """Read these records."""
        self._context = context
        self._store = context.store
        self._known: dict[str, InstanceDetails] = {}
        self._lists: dict[tuple[str, str], tuple[tuple[int, ...], list[InstanceDetails]]] = {}

    def all_of(self, caller: Caller) -> list[InstanceDetails]:
        """Return the details of all of the caller's instances, oldest first."""
        place = caller.account_id, caller.region
        versions = self._versions()
        known = self._lists.get(place)
        if known is not None and known[0] == versions:
            return known[1]
        details = [self.of(instance) for instance in scope(self._store.instances, caller)]
        self._lists[place] = versions, details
        self._forget_gone()
        return details

    def of(self, instance: Instance) -> InstanceDetails:
        """Return the details of one instance."""
        fresh = self._gather(instance)
        known = self._known.get(instance.id)
        if known is not None and known.stands_for(fresh):
            return known
        self._known[instance.id] = fresh
        self._forget_gone()  # who asks by ids only never gathers all
        return fresh

    def _gather(self, instance: Instance) -> InstanceDetails:
        store = self._store
        interfaces = tuple(store.network_interfaces.by("instance")[instance.id].values())
        if len(interfaces) > 1:
            interfaces = tuple(sorted(interfaces, key=lambda interface: interface.device_index))
        volumes = tuple(store.volumes.by("instance")[instance.id].values())
        if len(volumes) > 1:
            volumes = tuple(sorted(volumes, key=lambda volume: _device_order(volume, instance.root_device_name)))
        naming = naming_of(self._context, instance.vpc_id)
        return InstanceDetails(instance, interfaces, volumes, tuple(map(self._groups, interfaces)), naming)

    def _groups(self, interface: NetworkInterface) -> tuple[SecurityGroup, ...]:
        groups = (self._store.security_groups.get(group_id) for group_id in interface.group_ids)
        return tuple(group for group in groups if group is not None)

    def _versions(self) -> tuple[int, ...]:
        store = self._store
        return (
            store.instances.version,
            store.network_interfaces.version,
            store.volumes.version,
            store.security_groups.version,
            store.vpcs.version,
            self._context.host_names.proven,
        )

    def _forget_gone(self) -> None:
        if len(self._known) > 2 * len(self._store.instances):
            self._known = {key: details for key, details in self._known.items() if key in self._store.instances}


def _same(mine: Sequence[object], its: Sequence[object]) -> bool:
    return len(mine) == len(its) and all(one is other for one, other in zip(mine, its, strict=True))


def _device_order(volume: Volume, root_device_name: str) -> tuple[bool, str]:
    name = volume.attachment.device_name if volume.attachment else ""
    return name != root_device_name, name
