"""What the host has for its guests."""

import os

from bakehouse.domain.capacity import Capacity
from bakehouse.settings import Settings

_MIB = 1 << 20


def host_memory_mib() -> int:
    """Return the memory of the host."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB


def capacity_of(settings: Settings) -> Capacity:
    """Return what a server with these settings carries: by itself the host's memory, or anything when it simulates."""
    memory = settings.guest_memory_mib
    if memory is None and not settings.simulate:
        memory = host_memory_mib()
    return Capacity(guest_memory_mib=memory, instances=settings.instance_limit, vcpus=settings.vcpu_limit)
