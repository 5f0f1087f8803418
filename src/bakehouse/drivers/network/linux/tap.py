"""Opening taps: network interfaces whose other end is a file descriptor."""

import fcntl
import os
import struct
from pathlib import Path
from typing import Final

#: Source: linux/if_tun.h.
_TUNSETIFF: Final = 0x400454CA
_TUNSETPERSIST: Final = 0x400454CB
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000
_IFF_VNET_HDR: Final = 0x4000

_REQUEST: Final = struct.Struct("=16sH22x")


def open_tap(device: Path, name: str) -> int:
    """Open a tap in this process's namespace, making it if there is none, and return its file descriptor.

    Packets carry a virtio header, so that guest and host leave checksums and segmentation to each other. The tap
    stays when the descriptor is closed, and with it its routes and rules, as a machine stops and starts.

    Args:
        device: The clone device, normally `/dev/net/tun`.
        name: The interface's name.

    Raises:
        OSError: The device cannot be opened, or (EBUSY) somebody has the tap open.
    """
    fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, _REQUEST.pack(name.encode(), _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR))
        fcntl.ioctl(fd, _TUNSETPERSIST, 1)
    except OSError:
        os.close(fd)
        raise
    return fd
