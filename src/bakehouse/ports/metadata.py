"""The metadata port: answers a segment's guests at 169.254.169.254."""

import socket
from typing import Protocol


class MetadataListener(Protocol):
    """Serves the instance metadata of a VPC on a listening socket inside its segment."""

    async def open(self, vpc_id: str, listener: socket.socket) -> None:
        """Serve on this socket, which it owns from then on. Open already: the socket is closed, nothing changes."""
        ...

    async def close(self, vpc_id: str) -> None:
        """Stop serving a VPC. Succeeds when it is not served."""
        ...
