"""An HTTP client that costs next to nothing: it sends what it is given and reads answers to their end, unparsed."""

import socket


class Connection:
    """A kept-alive connection that reads whole answers, made again when the server ended it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._asked = b""
        self._buffer = bytearray(1 << 20)

    def ask(self, request: bytes) -> None:
        """Send a request."""
        self._asked = request
        try:
            (self._socket or self._connect()).sendall(request)
        except ConnectionError:
            self._connect().sendall(request)

    def hear(self) -> int:
        """Read the answer to its end and return its status."""
        if self._socket is None:
            raise RuntimeError("nothing was asked")
        try:
            return self._read(self._socket)
        except ConnectionError:  # ended before the request came
            self._connect().sendall(self._asked)
            return self._read(self._socket)

    def _connect(self) -> socket.socket:
        if self._socket is not None:
            self._socket.close()
        self._socket = socket.create_connection(("127.0.0.1", self._port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _read(self, connection: socket.socket) -> int:
        head = b""
        while b"\r\n\r\n" not in head:
            head += _some(connection.recv(65536))
        head, _, rest = head.partition(b"\r\n\r\n")
        lowered = head.lower()
        if b"content-length:" in lowered:
            length = int(lowered.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            self._skip(connection, length - len(rest))
        else:
            self._skip_chunks(connection, rest)
        if b"connection: close" in lowered or lowered.startswith(b"http/1.0"):
            connection.close()
            self._socket = None
        return int(head.split(b" ", 2)[1])

    def _skip(self, connection: socket.socket, count: int) -> None:
        while count > 0:
            read = connection.recv_into(self._buffer, min(count, len(self._buffer)))
            if read == 0:
                raise ConnectionError("the server closed the connection")
            count -= read

    def _skip_chunks(self, connection: socket.socket, rest: bytes) -> None:
        while not rest.endswith(b"0\r\n\r\n"):
            rest = rest[-8:] + _some(connection.recv(1 << 20))


def _some(received: bytes) -> bytes:
    if not received:
        raise ConnectionError("the server closed the connection")
    return received
