"""Sockets: a threaded WSGI server on a socket handed over by systemd, or on one of its own."""

import logging
import os
import signal
import socket
import sys
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

logger = logging.getLogger(__name__)

#: The first socket that systemd hands over. Source: sd_listen_fds(3).
FIRST_SOCKET: Final = 3

#: A client that says nothing for so long is sent away.
TIMEOUT_S: Final = 20


class RequestHandler(WSGIRequestHandler):
    """Logs to the journal, which adds the time; a peer on a Unix socket has no address."""

    timeout = TIMEOUT_S

    def address_string(self) -> str:
        """Return the peer's address as it came, without looking its name up."""
        return str(self.client_address[0])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Log one request."""
        logger.info("%s %s", self.address_string(), format % args)


class Server(ThreadingMixIn, WSGIServer):
    """A thread per connection."""

    request_queue_size = 64
    #: A connection that is waited for must not hold up the end of the process.
    daemon_threads = True

    def __init__(self, listening: socket.socket, app: "WSGIApplication") -> None:
        """Serve an application on a listening socket, which it closes in the end."""
        super().__init__(("", 0), RequestHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        # Set here, as HTTPServer.server_bind looks its own name up: ten seconds where nothing resolves it.
        self.server_name, self.server_port = "localhost", 80
        self.setup_environ()
        self.set_app(app)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; the base class expects a pair for an address, a Unix socket has none."""
        connection, address = super().get_request()
        return connection, address or ("local", 0)


def listening_socket(host: str, port: int) -> socket.socket:
    """Return the socket that systemd handed over, else a new one on this address.

    Raises:
        OSError: The address cannot be bound.
    """
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        return socket.socket(fileno=FIRST_SOCKET)
    return socket.create_server((host, port), backlog=Server.request_queue_size)


def serve(server: Server) -> None:
    """Serve until SIGTERM or an interrupt."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
