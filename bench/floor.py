"""A server that does nothing but answer: what any durable server on asyncio takes at the least.

    python bench/floor.py PORT FILE

Every read gets the same few bytes; of a request only its action is looked at, and nothing is verified or parsed. What
changes something (`Action=Create...`) is answered after a flush of 4 KiB to FILE, which has its room beforehand.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import cast

_BODY = b"x" * 250
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class Floor(asyncio.Protocol):
    """Answers one connection; each request comes in one piece."""

    def __init__(self, file: int) -> None:
        """Flush to this file descriptor."""
        self._file = file

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer a request."""
        if b"Action=Create" in data:
            os.pwrite(self._file, data[-1:] * 4096, 0)
            os.fdatasync(self._file)
        self._transport.write(_ANSWER)


async def main(port: int, file: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Floor(file), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    room = Path(sys.argv[2])
    room.write_bytes(bytes(1 << 20))
    with room.open("r+b") as opened:
        os.fsync(opened.fileno())
        asyncio.run(main(int(sys.argv[1]), opened.fileno()))
