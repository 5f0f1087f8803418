"""Instances with all that an answer about them shows, gathered once and kept as long as nothing of it changes."""

from dataclasses import dataclass

from bakehouse.app.context import scope
from bakehouse.domain.caller import Caller
from bakehouse.domain.instance import Instance
from bakehouse.domain.network import NetworkInterface
from bakehouse.domain.security_group import SecurityGroup
from bakehouse.domain.volume import Volume
from bakehouse.store.store import Store


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class InstanceDetails:
    """An instance, its interface, its volumes and its groups. The same object stands for unchanged records."""

    instance: Instance
    interface: NetworkInterface | None
    """None when it is terminated."""
    volumes: tuple[Volume, ...]
    """Those attached, the root first."""
    groups: tuple[SecurityGroup, ...]
    """The interface's groups, in its order."""

    def stands_for(self, other: "InstanceDetails") -> bool:
        """Tell whether both are made of the very same records."""
        return (
            self.instance is other.instance
            and self.interface is other.interface
            and len(self.volumes) == len(other.volumes)
            and len(self.groups) == len(other.groups)
            and all(mine is its for mine, its in zip(self.volumes, other.volumes, strict=True))
            and all(mine is its for mine, its in zip(self.groups, other.groups, strict=True))
        )


class InstanceGatherer:
    """Gathers details from the records."""

    def __init__(self, store: Store) -> None:
        """Read these records."""
        self._store = store
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
        return fresh

    def _gather(self, instance: Instance) -> InstanceDetails:
        store = self._store
        interface = store.network_interfaces.get(instance.network_interface_id)
        volumes = tuple(store.volumes.by("instance")[instance.id].values())
        if len(volumes) > 1:
            volumes = tuple(sorted(volumes, key=lambda volume: _device_order(volume, instance.root_device_name)))
        groups = (store.security_groups.get(group_id) for group_id in (interface.group_ids if interface else ()))
        return InstanceDetails(instance, interface, volumes, tuple(group for group in groups if group is not None))

    def _versions(self) -> tuple[int, ...]:
        store = self._store
        return (
            store.instances.version,
            store.network_interfaces.version,
            store.volumes.version,
            store.security_groups.version,
        )

    def _forget_gone(self) -> None:
        if len(self._known) > 2 * len(self._store.instances):
            self._known = {key: details for key, details in self._known.items() if key in self._store.instances}


def _device_order(volume: Volume, root_device_name: str) -> tuple[bool, str]:
    name = volume.attachment.device_name if volume.attachment else ""
    return name != root_device_name, name
