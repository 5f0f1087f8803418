"""Which home a command works with, and the server that runs in it."""

import contextlib
import json
import os
import shlex
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bakehouse.cli.next_steps import next_step
from bakehouse.cli.terminal import CommandFailed
from bakehouse.settings import InvalidSettings, Settings, default_home, load

if TYPE_CHECKING:
    import httpx

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Where the server keeps its things.", envvar="BAKEHOUSE_HOME", show_default=False),
]

InstanceArgument = Annotated[str, typer.Argument(help="The instance's id.")]

#: An import of a large file may not say anything for a while; everything else answers at once.
_TIMEOUT_S: Final = 600.0


def home_of(given: Path | None) -> Path:
    """Return the home as an absolute path."""
    return (given or default_home(os.environ)).expanduser().absolute()


def with_home(command: str, home: Path) -> str:
    """Return a command as somebody types it to work with this home, where it is not the one taken without `--home`."""
    return command if home == home_of(None) else f"{command} --home {shlex.quote(str(home))}"


def settings_of(home: Path, **options: Any) -> Settings:  # noqa: ANN401 - any setting's value
    """Return the home's settings, with those given on the command line laid over them."""
    try:
        return load(home, os.environ, **options)
    except InvalidSettings as err:
        raise CommandFailed(
            str(err),
            f"options come first, then BAKEHOUSE_ variables, then what `{home}/settings.json` remembers",
        ) from err
    except PermissionError as err:
        raise _foreign(home) from err


def credentials_of(home: Path) -> Mapping[str, str]:
    """Return the first account's credentials: account_id, access_key_id, secret_access_key, region, endpoint_url."""
    try:
        credentials: dict[str, str] = json.loads((home / "credentials.json").read_text())
    except (FileNotFoundError, NotADirectoryError) as err:
        raise CommandFailed(
            f"no server has run with `{home}` yet", f"start one: `{with_home('bakehouse up', home)}`"
        ) from err
    except PermissionError as err:
        raise _foreign(home) from err
    except ValueError as err:
        again = f"`{with_home('bakehouse down', home)}` and `{with_home('bakehouse up', home)}`"
        raise CommandFailed(f"`{home}/credentials.json` is damaged: {err}", f"it is written anew by {again}") from err
    return credentials


class ControlClient:
    """Asks the server of a home, by its control socket."""

    def __init__(self, client: "httpx.Client") -> None:
        self._client = client

    def get(self, path: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return what the server answers."""
        return self._checked(self._client.get(path)).json()

    def get_bytes(self, path: str) -> bytes:
        """Return what the server answers, undecoded."""
        return self._checked(self._client.get(path)).content

    def post(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
        """Ask for a change and return the answer."""
        return self._checked(self._client.post(path, json=body)).json()

    def post_lines(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Ask for something long and yield what the server says meanwhile."""
        with self._client.stream("POST", path, json=body) as response:
            for line in response.iter_lines():
                yield json.loads(line)

    def _checked(self, response: "httpx.Response") -> "httpx.Response":
        if response.is_success:
            return response
        with contextlib.suppress(ValueError, KeyError):
            refusal = response.json()
            raise CommandFailed(refusal["message"], next_step(refusal["error"]))
        raise CommandFailed(response.text)


@contextlib.contextmanager
def control(home: Path) -> Iterator[ControlClient]:
    """Give a client of the running server. Refuses when none runs."""
    with control_address(home) as address, _client(home, address) as client:
        yield ControlClient(client)


@contextlib.contextmanager
def control_address(home: Path) -> Iterator[str]:
    """Give the address of the running server's control socket, for as long as the block lasts. Refuses as `control`."""
    # A socket's address holds 107 bytes; through the directory's descriptor any home is short enough.
    try:
        directory = os.open(home, os.O_DIRECTORY | os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise not_running(home) from err
    except PermissionError as err:
        raise _foreign(home) from err
    address = f"/proc/self/fd/{directory}/control.sock"
    try:
        # Asked first: it is quick, and httpx would leave a socket open that it could not connect.
        if not _listens(address):
            raise not_running(home)
        yield address
    finally:
        os.close(directory)


@contextlib.contextmanager
def _client(home: Path, address: str) -> Iterator["httpx.Client"]:
    import httpx

    transport = httpx.HTTPTransport(uds=address, verify=False)  # without TLS there is nothing to verify
    try:
        with httpx.Client(
            transport=transport, base_url="http://bakehouse", timeout=_TIMEOUT_S, trust_env=False
        ) as client:
            yield client
    except httpx.TransportError as err:
        raise CommandFailed(
            "the server ended before it answered", f"its log: `{with_home('bakehouse logs', home)}`"
        ) from err


def _listens(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(address) == 0


def require_server(home: Path) -> None:
    """Refuse as `control` does: for what works long before it asks the server."""
    with control_address(home):
        pass


def is_running(home: Path) -> bool:
    """Tell whether a server answers for this home."""
    try:
        with control(home) as server:
            server.get("/status")
    except CommandFailed:
        return False
    return True


def unusable_home(home: Path, error: OSError) -> CommandFailed:
    """Return what to say when a server's things cannot be kept where they should be."""
    reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror or error
    return CommandFailed(f"cannot use the home `{home}`: {reason}", "choose another: `--home DIR`")


def not_running(home: Path) -> CommandFailed:
    """Return what to say when a home's server does not answer, for it does not run."""
    return CommandFailed(f"no server runs with `{home}`", f"start one: `{with_home('bakehouse up', home)}`")


def _foreign(home: Path) -> CommandFailed:
    return CommandFailed(f"`{home}` belongs to another user", "choose your own with `--home DIR`")
