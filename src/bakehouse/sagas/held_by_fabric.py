"""Addresses and groups that the fabric still has where the records have them no more.

Nobody else is given such an address meanwhile, and such a group is not deleted. An interface loses them in the
transaction that enlists the saga by which the fabric follows, and that saga may have to wait for its turn: until its
instance has shut down, for one. Its journal entry holds what the interface loses, so this begins with the record's
change, outlives a crash, and ends with the saga.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

from bakehouse.domain.network_interface import NetworkInterface
from bakehouse.store.store import Store


def private_key(vpc_id: str, address: str) -> str:
    """Return by what a journal entry holds a private address; it holds a public one by itself."""
    return f"{vpc_id}/{address}"


def lost(before: NetworkInterface, after: NetworkInterface) -> tuple[str, ...]:
    """Return the addresses and groups that an interface has no more, as a journal entry holds them."""
    kept = frozenset((*_keys(after), *after.group_ids))
    return tuple(key for key in (*_keys(before), *before.group_ids) if key not in kept)


def held_by(store: Store, interface: NetworkInterface) -> tuple[str, ...]:
    """Return the sagas that free an interface's addresses from other interfaces."""
    holding = store.sagas.by("holds")
    sagas = {saga.id: saga for key in _keys(interface) for saga in holding[key].values()}
    return tuple(it.id for it in sagas.values() if json.loads(it.params)["interface_id"] != interface.id)


def without_reserved(store: Store, interface: NetworkInterface) -> NetworkInterface:
    """Return an interface without what is not yet free for it: the saga that brings it there comes after that."""
    if not held_by(store, interface):
        return interface
    holding = store.sagas.by("holds")
    free_ips = [it for it in interface.secondary_ips if not holding[private_key(interface.vpc_id, it)]]
    return replace(
        interface,
        secondary_ips=tuple(free_ips),
        associations=tuple(it for it in interface.associations if not holding[it.public_ip]),
        public_ip=None if holding[interface.public_ip] else interface.public_ip,
    )


def _keys(interface: NetworkInterface) -> Iterator[str]:
    if interface.public_ip is not None:
        yield interface.public_ip
    for association in interface.associations:
        yield association.public_ip
    for address in interface.addresses:
        yield private_key(interface.vpc_id, address)
