"""Run the directory: `python3 -m employee_directory`."""

import argparse
import logging
import os
from pathlib import Path

from employee_directory.metadata import ENDPOINT, InstanceMetadata
from employee_directory.pages import application
from employee_directory.server import Server, listening_socket, serve
from employee_directory.store import Store


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="employee_directory", description=__doc__)
    state = os.environ.get("STATE_DIRECTORY", "state")
    parser.add_argument("--state", type=Path, default=state, help="where records and photos are (%(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on, unless systemd hands a socket over")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--metadata", default=ENDPOINT, metavar="URL", help="instance metadata service (%(default)s)")
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    options.state.mkdir(parents=True, exist_ok=True)
    app = application(Store(options.state), InstanceMetadata(options.metadata))
    server = Server(listening_socket(options.host, options.port), app)
    logging.getLogger("employee_directory").info("serving on %s", server.socket.getsockname())
    serve(server)


if __name__ == "__main__":
    main()
