"""Serial consoles by SSH: a key by SendSerialConsoleSSHPublicKey, then asyncssh as the client."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop

from bakehouse.drivers.hypervisor.fake import FakeHypervisor
from bakehouse.server.host_key import HostKey, host_key
from bakehouse.server.serial_listener import serial_console_socket, serve_serial_consoles

DEADLINE_S = 60

Process = asyncssh.SSHClientProcess[bytes]


@dataclass(frozen=True)
class Door:
    """Where SSH is answered."""

    port: int
    key: HostKey


@contextmanager
def open_door(running: RunningServer, key: HostKey) -> Iterator[Door]:
    """Serve SSH in the server's event loop for as long as the block lasts."""
    listener = serial_console_socket(0)
    port = listener.getsockname()[1]
    stop = asyncio.Event()
    serving = asyncio.run_coroutine_threadsafe(
        serve_serial_consoles(running.server.app.serial_sessions, key, listener, stop), running._loop
    )
    try:
        yield Door(port, key)
    finally:
        running._loop.call_soon_threadsafe(stop.set)
        serving.result(DEADLINE_S)


@pytest.fixture(scope="module")
def door(shared: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(shared, host_key(tmp_path_factory.mktemp("key") / "serial-console.key")) as opened:
        yield opened


@pytest.fixture(scope="module")
def key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


class Desk:
    """Somebody with an account, an instance, and an SSH client."""

    def __init__(self, shop: Shop, door: Door) -> None:
        self.shop = shop
        self.door = door
        self.connect: Any = shop.running.client("ec2-instance-connect", shop.name)
        shop.ec2.enable_serial_console_access()
        self.instance_id = str(shop.launch()["InstanceId"])
        self.banner = ""

    @property
    def hypervisor(self) -> FakeHypervisor:
        hypervisor = self.shop.running.drivers.hypervisor
        assert isinstance(hypervisor, FakeHypervisor)
        return hypervisor

    def send(self, key: asyncssh.SSHKey, instance_id: str | None = None) -> Any:
        public = key.export_public_key().decode()
        return self.connect.send_serial_console_ssh_public_key(
            InstanceId=instance_id or self.instance_id, SerialPort=0, SSHPublicKey=public
        )

    @asynccontextmanager
    async def connected(
        self, key: asyncssh.SSHKey, user: str | None = None, **options: Any
    ) -> AsyncIterator[asyncssh.SSHClientConnection]:
        desk = self

        class Client(asyncssh.SSHClient):
            def auth_banner_received(self, msg: str, lang: str) -> None:  # noqa: ARG002 - as asyncssh calls it
                desk.banner += msg

        wanted: dict[str, Any] = {
            "username": user or f"{self.instance_id}.port0",
            "client_keys": [key],
            "known_hosts": f"[127.0.0.1]:{self.door.port} {self.door.key.public}\n".encode(),
            "agent_path": None,
            "config": None,
            "client_factory": Client,
            **options,
        }
        async with (
            asyncio.timeout(DEADLINE_S),
            asyncssh.connect("127.0.0.1", self.door.port, **wanted) as connection,
        ):
            yield connection

    @asynccontextmanager
    async def session(self, key: asyncssh.SSHKey) -> AsyncIterator[Process]:
        """Open a session on a terminal."""
        async with self.connected(key) as connection, shell(connection) as process:
            yield process


@asynccontextmanager
async def shell(connection: asyncssh.SSHClientConnection) -> AsyncIterator[Process]:
    async with connection.create_process(term_type="xterm", encoding=None) as process:
        yield process


async def seen(process: Process, text: bytes) -> None:
    """Read until a text has come."""
    await process.stdout.readuntil(text)


async def ended(process: Process) -> tuple[int | None, str]:
    """Wait for the session's end, and return its status and what the server said."""
    said = await process.stderr.read()
    await process.wait_closed()
    return process.exit_status, said.decode()


@pytest.fixture
def desk(shop: Shop, door: Door) -> Desk:
    return Desk(shop, door)


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa"])
async def test_who_has_the_key_opens_the_console(desk: Desk, kind: str) -> None:
    key = asyncssh.generate_private_key(kind)

    assert desk.send(key)["Success"]

    async with desk.session(key) as process:
        await seen(process, b"login: ")
        process.stdin.write(b"whoever")
        await seen(process, b"whoever")


async def test_a_console_needs_no_terminal(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)

    async with desk.connected(key) as connection:
        done = await connection.create_process(encoding=None)
        done.stdin.write(b"typed")
        done.stdin.write_eof()
        assert await ended(done) == (0, "")

    assert desk.shop.ec2.get_console_output(InstanceId=desk.instance_id)["Output"].endswith("typed")


async def test_a_key_that_was_not_sent_opens_nothing(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)

    with pytest.raises(asyncssh.PermissionDenied):
        async with desk.connected(asyncssh.generate_private_key("ssh-ed25519")):
            pass


async def test_a_key_of_another_instance_opens_nothing(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key, str(desk.shop.launch()["InstanceId"]))

    with pytest.raises(asyncssh.PermissionDenied):
        async with desk.connected(key):
            pass


async def test_a_key_that_has_expired_opens_nothing_and_the_client_is_told(
    desk: Desk, key: asyncssh.SSHKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakehouse.app.serial_sessions.KEY_LIFE", timedelta())
    desk.send(key)

    with pytest.raises(asyncssh.PermissionDenied):
        async with desk.connected(key):
            pass

    assert f"send-serial-console-ssh-public-key --instance-id {desk.instance_id} " in desk.banner


@pytest.mark.parametrize("user", ["root", "{}", "{}.port1", "i-00000000000000000.port0"])
async def test_another_user_name_opens_nothing(desk: Desk, key: asyncssh.SSHKey, user: str) -> None:
    desk.send(key)

    with pytest.raises(asyncssh.PermissionDenied):
        async with desk.connected(key, user.format(desk.instance_id)):
            pass

    assert desk.banner


async def test_no_password_opens_the_console(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)

    with pytest.raises(asyncssh.PermissionDenied):
        async with desk.connected(key, client_keys=None, password="secret"):
            pass


async def test_a_second_session_is_refused_until_the_first_has_ended(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)

    async with desk.session(key) as first:
        await seen(first, b"login: ")
        with refused("SerialConsoleSessionLimitExceededException"):
            desk.send(key)
        async with desk.session(key) as second:
            status, said = await ended(second)

    assert (status, "1 active serial console session" in said) == (1, True)
    await sent(desk, key)
    async with desk.session(key) as third:
        await seen(third, b"login: ")


async def sent(desk: Desk, key: asyncssh.SSHKey) -> None:
    """Send a key as soon as the last session has ended, which the server hears a moment after its client."""
    async with asyncio.timeout(DEADLINE_S):
        while desk.instance_id in desk.shop.running.server.app.serial_sessions._going_on:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    desk.send(key)


async def test_a_connection_has_one_session(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)

    async with desk.connected(key) as connection:
        async with shell(connection) as process:
            await seen(process, b"login: ")

        with pytest.raises(asyncssh.ChannelOpenError):
            async with shell(connection):
                pass


async def test_others_watch_beside_a_session(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)
    consoles = desk.shop.running.server.app.consoles

    async with desk.session(key) as process:
        await seen(process, b"login: ")
        owner = desk.shop.running.call(consoles.connect_owner(desk.instance_id))
        desk.shop.running.call(owner.write(b"from beside"))

        await seen(process, b"from beside")


async def test_a_break_is_one_on_the_serial_line(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)

    async with desk.session(key) as process:
        await seen(process, b"login: ")
        process.stdin.write(b"a")
        process.send_break(500)
        process.stdin.write(b"h")

        await seen(process, b"a\0h")


async def test_what_a_terminal_was_asked_before_is_left_out(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.hypervisor.write_console(desk.instance_id, "# \x1b[6n$ ")
    desk.send(key)

    async with desk.session(key) as process:
        await seen(process, b"# \0\0\0\0$ ")


async def test_a_session_ends_with_its_machine(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)

    async with desk.session(key) as process:
        await seen(process, b"login: ")
        desk.shop.ec2.terminate_instances(InstanceIds=[desk.instance_id])
        status, said = await ended(process)

    assert (status, said.strip()) == (0, f"{desk.instance_id} does not run any more.")


async def test_a_session_has_its_time(desk: Desk, key: asyncssh.SSHKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakehouse.server.serial_ssh.SESSION_S", 0.01)
    desk.send(key)

    async with desk.session(key) as process:
        status, said = await ended(process)

    assert (status, "lasted an hour" in said) == (0, True)


async def test_who_does_not_read_does_not_hold_up_the_guest(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)

    async with desk.session(key) as process:
        await seen(process, b"login: ")
        # More than asyncssh's window at the client, which reads nothing of it.
        desk.hypervisor.write_console(desk.instance_id, "x" * 4 * 1024 * 1024 + "\n")
        process.stdin.write(b"typed")

        owner = desk.shop.running.call(desk.shop.running.server.app.consoles.connect_owner(desk.instance_id))
        written = b""
        while b"typed" not in written:
            written = written[-16:] + desk.shop.running.call(owner.read())


async def test_access_that_was_disabled_since_the_key_was_sent_is_refused(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)
    desk.shop.ec2.disable_serial_console_access()

    async with desk.session(key) as process:
        status, said = await ended(process)

    assert (status, "EnableSerialConsoleAccess" in said) == (1, True)


async def test_a_machine_that_ended_since_the_key_was_sent_is_refused(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)
    desk.shop.stop(desk.instance_id)

    async with desk.session(key) as process:
        status, said = await ended(process)

    assert (status, desk.instance_id in said) == (1, True)


async def test_there_is_a_console_and_nothing_else(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)

    async with desk.connected(key) as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", desk.door.port)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 22)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("ls")


async def test_there_are_no_files(desk: Desk, key: asyncssh.SSHKey) -> None:
    desk.send(key)

    async with desk.connected(key) as connection:
        with pytest.raises((asyncssh.ChannelOpenError, asyncssh.SFTPError)):
            await connection.start_sftp_client()


async def test_a_server_that_ends_hangs_up(
    desk: Desk, key: asyncssh.SSHKey, shared: RunningServer, tmp_path: Path
) -> None:
    desk.send(key)
    with open_door(shared, host_key(tmp_path / "another.key")) as desk.door:
        connecting = desk.connected(key)
        connection = await connecting.__aenter__()
        process = await connection.create_process(encoding=None)
        await seen(process, b"login: ")

    async with asyncio.timeout(DEADLINE_S):
        await connection.wait_closed()
    await connecting.__aexit__(None, None, None)
    await sent(desk, key)


async def test_noise_is_hung_up_on(desk: Desk, key: asyncssh.SSHKey) -> None:
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.door.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)) * 512)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    desk.send(key)
    async with desk.session(key) as process:
        await seen(process, b"login: ")
