"""Where a home's public addresses lie.

A public address is an address in 127.0.0.0/8, which every Linux host has wholly on its loopback interface, so each
machine has all ports to itself. Several homes can live on one host: each takes its own 1022 addresses, found
from its path alone, so that nothing has to be agreed upon.
"""

import hashlib
from ipaddress import IPv4Network
from pathlib import PurePath
from typing import Final

#: 127.16.0.0 up to 127.254.255.255: clear of 127.0.0.0/12, where people and distributions put their own
#: services (127.0.0.1, 127.0.1.1, 127.0.0.53).
_FIRST: Final = IPv4Network("127.16.0.0/22")
_POOLS: Final = (254 - 16 + 1) * 256 // 4

#: The bounds of all pools together.
FIRST_ADDRESS: Final = "127.16.0.0"
LAST_ADDRESS: Final = "127.254.255.255"


def public_pool(home: PurePath) -> IPv4Network:
    """Return the /22 of public addresses that belongs to a data directory.

    Args:
        home: The data directory as an absolute path. The same path always gives the same pool; two paths share
            one with probability 1 in 15,296.
    """
    digest = hashlib.sha256(str(home).encode()).digest()
    step = int.from_bytes(digest[:8], "big") % _POOLS
    return IPv4Network((int(_FIRST.network_address) + step * _FIRST.num_addresses, _FIRST.prefixlen))
