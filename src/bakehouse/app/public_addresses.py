"""Public addresses: which one an interface gets."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network

from bakehouse.domain.network import NetworkInterface


class PublicAddresses:
    """Hands out the pool's addresses in turn, so that a freed one is not at once somebody else's."""

    def __init__(self, pool: IPv4Network) -> None:
        """Begin with the pool's first address."""
        self._pool = pool
        self._next = 1

    def free(self, interfaces: Iterable[NetworkInterface]) -> Iterator[str]:
        """Yield addresses that none of these interfaces has, each once."""
        taken = {interface.public_ip for interface in interfaces}
        hosts = self._pool.num_addresses - 2
        for _ in range(hosts):
            address = str(self._pool[self._next])
            self._next = self._next % hosts + 1
            if address not in taken:
                yield address
