"""What the host has for its guests."""

import os
from pathlib import Path
from typing import Final

from bakehouse.domain.capacity import Capacity
from bakehouse.settings import Settings

_MIB: Final = 1 << 20

#: What a container may have at most: a number of bytes, or `max`. Source: kernel documentation, "Control Group v2".
_CONTAINER_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")


def host_memory_mib(container_limit: Path = _CONTAINER_LIMIT) -> int:
    """Return the memory of the host, or of the container that this is."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = container_limit.read_text().strip() if container_limit.exists() else ""
    return min(memory, int(limit) if limit.isdecimal() else memory) // _MIB


def capacity_of(settings: Settings) -> Capacity:
    """Return what a server with these settings carries: by itself the host's memory, or anything when it simulates."""
    memory = settings.guest_memory_mib
    if memory is None and not settings.simulate:
        memory = host_memory_mib()
    return Capacity(guest_memory_mib=memory, instances=settings.instance_limit, vcpus=settings.vcpu_limit)
