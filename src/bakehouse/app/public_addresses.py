"""Public addresses: which one an interface or an allocation gets."""

from collections.abc import Iterator
from ipaddress import IPv4Network

from bakehouse.store.store import Store


class PublicAddresses:
    """Hands out the pool's addresses in turn, so that a freed one is not at once somebody else's."""

    def __init__(self, store: Store, pool: IPv4Network) -> None:
        """Begin with the pool's first address."""
        self._store = store
        self._pool = pool
        self._next = 1

    def free(self) -> Iterator[str]:
        """Yield addresses that nobody holds, each once."""
        interfaces = self._store.network_interfaces.by("public_ip")
        allocations = self._store.elastic_addresses.by("public_ip")
        held = self._store.sagas.by("holds")
        hosts = self._pool.num_addresses - 2
        for _ in range(hosts):
            address = str(self._pool[self._next])
            self._next = self._next % hosts + 1
            if not interfaces[address] and not allocations[address] and not held[address]:
                yield address

    def next_free(self) -> str | None:
        """Return an address that nobody holds; None when there is none."""
        return next(self.free(), None)
