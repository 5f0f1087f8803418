"""The host: what it can run, what runs on it, and where the host reaches a guest."""

from collections import Counter
from dataclasses import dataclass

from bakehouse.app.context import AppContext
from bakehouse.domain.capacity import used_memory_mib
from bakehouse.domain.errors import not_found
from bakehouse.domain.instance import Instance
from bakehouse.ports.hypervisor import HypervisorCapabilities
from bakehouse.ports.network import NetworkCapabilities, ReachablePort
from bakehouse.sagas.machine import interfaces_of


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """A summary for `bakehouse status`."""

    hypervisor: HypervisorCapabilities
    network: NetworkCapabilities
    instances: dict[str, int]
    """State to number, over all accounts."""
    memory_mib: int | None
    """What all guests together may have; None is without limit."""
    memory_used_mib: int
    images: int
    volumes: int
    snapshots: int
    unfinished_sagas: tuple[str, ...]


class Host:
    """Use cases on the host itself, for whoever owns it; no account's view."""

    def __init__(self, context: AppContext) -> None:
        """Ask these drivers."""
        self._context = context

    async def status(self) -> HostStatus:
        """Summarize what runs here."""
        store = self._context.store
        return HostStatus(
            hypervisor=await self._context.hypervisor.capabilities(),
            network=await self._context.network.capabilities(),
            instances=dict(Counter(instance.state.value for instance in store.instances)),
            memory_mib=self._context.capacity.guest_memory_mib,
            memory_used_mib=used_memory_mib(store.instances.by("kind").counts()),
            images=len(store.images),
            volumes=len(store.volumes),
            snapshots=len(store.snapshots),
            unfinished_sagas=tuple(saga.id for saga in store.sagas),
        )

    @property
    def instance_limit(self) -> int:
        """How many running instances an account may have in a region."""
        return self._context.capacity.instances

    async def console(self, instance_id: str) -> bytes:
        """Return all of an instance's console that is kept."""
        return await self._context.hypervisor.console_output(self._instance(instance_id).id)

    async def reach(self, instance_id: str, port: int) -> ReachablePort | None:
        """Return where the host reaches a port of an instance; None when it has no public address now.

        That is at the primary private address of the first interface to which a public one leads.
        """
        interfaces = interfaces_of(self._context.store, self._instance(instance_id).id)
        public_ip = next((it.public_ip for it in interfaces if it.public_ip is not None), None)
        return None if public_ip is None else await self._context.network.reachable_at(public_ip, port)

    def _instance(self, instance_id: str) -> Instance:
        instance = self._context.store.instances.get(instance_id)
        if instance is None:
            raise not_found("instance", [instance_id])
        return instance
