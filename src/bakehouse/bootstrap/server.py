"""Putting a server together, and running it."""

import asyncio
import hashlib
import hmac
import json
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog

from bakehouse.app.app import App
from bakehouse.app.context import AppContext
from bakehouse.bootstrap.drivers import Drivers, make_drivers
from bakehouse.bootstrap.home import prepare_home
from bakehouse.bootstrap.host_memory import capacity_of
from bakehouse.domain.public_pool import public_pool
from bakehouse.drivers.volumes.archive import PackedArchive
from bakehouse.imds.service import MetadataService
from bakehouse.ports.network import NetworkUnavailable
from bakehouse.reconcile.reconciler import Reconciler
from bakehouse.sagas.catalogue import SAGAS
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Checkpoint, SagaEngine, no_checkpoint
from bakehouse.sagas.segment import ensure_segment
from bakehouse.server.control import Control, ServerFacts
from bakehouse.server.endpoint import Endpoint
from bakehouse.server.home_lock import lock
from bakehouse.server.host_key import host_key
from bakehouse.server.listener import serve, tcp_socket, unix_socket
from bakehouse.server.serial_listener import serial_console_socket, serve_serial_consoles
from bakehouse.settings import Settings, remember
from bakehouse.store.database import Database, sqlite_url
from bakehouse.store.migrate import migrate
from bakehouse.store.store import Store

#: How long a guest that is terminated may take to shut down: little of what it would save is kept.
_TERMINATE_TIMEOUT_S: Final = 20.0

#: Another text after each boot of the host.
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Server:
    """A server put together, not yet listening."""

    app: App
    endpoint: Endpoint
    reconciler: Reconciler
    engine: SagaEngine
    context: SagaContext


@asynccontextmanager
async def running_server(
    home: Path,
    settings: Settings,
    *,
    drivers: Drivers | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    checkpoint: Checkpoint = no_checkpoint,
) -> AsyncIterator[Server]:
    """Give a server whose records, machines and sagas are in order; take it down afterwards, machines left alone."""
    url = settings.database_url or sqlite_url(_private_file(home / "bakehouse.db"))
    migrate(url)
    store = Store(Database(url, long_log=True))
    drivers = drivers or make_drivers(home, settings)
    secret = _secret(home)
    app_of: list[App] = []
    metadata = MetadataService(
        lookup=lambda vpc_id, address: app_of[0].metadata.of(vpc_id, address),  # noqa: PLW0108 - made below
        now=now,
        secret=_derived(secret, "imds"),
    )
    context = SagaContext(
        store,
        drivers.hypervisor,
        drivers.volumes,
        drivers.network,
        metadata,
        now,
        drivers.objects,
        drivers.disk_files,
        PackedArchive(home / "archive", drivers.disk_files),
        stop_deadline_s=settings.stop_timeout_s,
        terminate_deadline_s=min(settings.stop_timeout_s, _TERMINATE_TIMEOUT_S),
    )
    engine = SagaEngine(context, SAGAS, checkpoint)
    app = _app(home, settings, context, engine, drivers)
    app_of.append(app)
    boot_id = _BOOT_ID.read_text() if _BOOT_ID.exists() else ""
    seen_boot = home / "boot-id"
    reconciler = Reconciler(
        context,
        engine,
        host_restarted=seen_boot.exists() and seen_boot.read_text() != boot_id,
        chores=_chores(app),
    )
    endpoint = Endpoint(app, page_key=_derived(secret, "pages"), home_region=settings.region, now=now)
    try:
        await drivers.names.start()
        await reconciler.start()
        seen_boot.write_text(boot_id)
        watching = asyncio.create_task(reconciler.run(), name="reconciler")
        try:
            yield Server(app, endpoint, reconciler, engine, context)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
    finally:
        await engine.suspend()
        await engine.settle()
        await metadata.close_all()
        await drivers.names.close()
        await drivers.network.close()
        await drivers.hypervisor.close()
        store.close()


def _app(home: Path, settings: Settings, context: SagaContext, engine: SagaEngine, drivers: Drivers) -> App:
    """Make the use cases, over the records and drivers that the sagas have."""
    return App(
        AppContext(
            store=context.store,
            sagas=engine,
            hypervisor=context.hypervisor,
            volumes=context.volumes,
            network=context.network,
            now=context.now,
            public_pool=public_pool(home),
            home_region=settings.region,
            credentials_key=_derived(_secret(home), "credentials"),
            objects=context.objects,
            archive=context.archive,
            disk_files=context.disk_files,
            keys=drivers.keys,
            host_names=drivers.names,
            transfers=context.transfers,
            capacity=capacity_of(settings),
        )
    )


def _chores(app: App) -> list[Callable[[], Awaitable[None]]]:
    """Return what the reconciler does now and then beside its own work."""
    return [
        app.client_tokens.forget_old,
        app.export_tasks.forget_old,
        app.fleets.forget_deleted,
        app.import_tasks.forget_old,
        app.store_image_tasks.forget_old,
        app.recycle_bin.delete_due,
        app.root_replacements.forget_old,
        app.snapshot_blocks.expire,
        app.spot_requests.settle,
        app.snapshot_sizes.measure,
        app.snapshot_tiers.end_restorations,
        app.nat_gateways.forget_deleted,
        app.volume_modifications.finish,
        app.image_ancestry.forget_unneeded,
        app.image_usage_reports.forget_expired,
        app.instance_events.carry_out_due,
        app.instance_events.forget_ended,
        app.instance_health.look,
    ]


class SerialPortTaken(Exception):
    """SSH cannot listen for serial consoles where a setting says. The text tells the port, and why."""


async def serve_forever(home: Path, settings: Settings, *, ready: Callable[[ServerFacts], None]) -> None:
    """Run a server until it is told to stop, by a signal or by its control service.

    Raises:
        HomeInUse: Another server runs here; nothing was changed.
        DatabaseUnusable: The database does not answer, or another server uses it; nothing was changed.
        RecordsLost: The home holds machines or disks, and its database is empty; nothing was changed.
        HostKeyUnreadable: Serial consoles cannot be served; nothing is left running.
        SerialPortTaken: The same.
        OSError: The port is taken; nothing is left running.
    """
    prepare_home(home)
    with (
        lock(home),
        tcp_socket(settings.port) as listener,
        _serial_listener(settings) as serial_listener,
        unix_socket(home / "control.sock") as control_listener,
    ):
        serial_key = host_key(home / "serial-console.key")
        async with running_server(home, settings, checkpoint=_crash_point()) as server:
            if not server.app.accounts.all():
                await server.app.accounts.create("default")
            facts = ServerFacts(
                version=version("bakehouse"),
                pid=os.getpid(),
                endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
                serial_console=f"127.0.0.1:{serial_listener.getsockname()[1]}",
                serial_host_key=serial_key.fingerprint,
                home=str(home),
                region=settings.region,
                simulated=settings.simulate,
            )
            remember(home, replace(settings, port=listener.getsockname()[1]))
            _write_credentials(home, server.app, facts)
            stop = asyncio.Event()
            machines_too = False

            def shut_down(machines: bool) -> None:  # noqa: FBT001 - the control service's one question
                nonlocal machines_too
                machines_too = machines
                stop.set()

            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            control = Control(server.app, facts, shut_down).application()
            ready(facts)
            preparing = asyncio.create_task(_prepare_first_launch(server))
            await asyncio.gather(
                serve(server.endpoint, listener, stop),
                serve(control, control_listener, stop),
                serve_serial_consoles(server.app.serial_sessions, serial_key, serial_listener, stop),
            )
            await preparing
            if machines_too:
                await server.reconciler.shut_down_machines()
        (home / "control.sock").unlink(missing_ok=True)


async def _prepare_first_launch(server: Server) -> None:
    """Make the first account's default segment ahead of its first launch, which would wait for it."""
    account, _ = server.app.accounts.all()[0]
    for vpc in list(server.context.store.vpcs):
        if vpc.account_id == account.id and vpc.is_default:
            try:
                await ensure_segment(server.context, vpc.id)
            except NetworkUnavailable as err:
                _log.warning("no network for machines", reason=str(err))


def _serial_listener(settings: Settings) -> socket.socket:
    port = settings.serial_console_port
    try:
        return serial_console_socket(port)
    except OSError as err:
        raise SerialPortTaken(f"cannot serve serial consoles on port {port}: {err.strerror or err}") from err


def _private_file(path: Path) -> Path:
    """Make a file that only its owner may read, before anything is in it. SQLite gives its log the same mode."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    return path


def _secret(home: Path) -> bytes:
    path = home / "secret.key"
    if not path.exists():
        temporary = path.with_suffix(".tmp")
        temporary.touch(mode=0o600)
        temporary.write_bytes(secrets.token_bytes(32))
        temporary.replace(path)
    return path.read_bytes()


def _derived(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, purpose.encode(), hashlib.sha256)


def _write_credentials(home: Path, app: App, facts: ServerFacts) -> None:
    """Leave the first account's key where the command line finds it, readable by the owner only."""
    account, keys = app.accounts.all()[0]
    path = home / "credentials.json"
    temporary = path.with_suffix(".tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(
        json.dumps(
            {
                "account_id": account.id,
                "access_key_id": keys[0].id,
                "secret_access_key": keys[0].secret,
                "region": facts.region,
                "endpoint_url": facts.endpoint_url,
            }
        )
    )
    temporary.replace(path)


def _crash_point() -> Checkpoint:
    """Return a checkpoint that kills the server at BAKEHOUSE_CRASH_AT, for the tests of crash safety."""
    where = os.environ.get("BAKEHOUSE_CRASH_AT")
    if where is None:
        return no_checkpoint

    def checkpoint(name: str) -> None:
        if name == where:
            os.kill(os.getpid(), signal.SIGKILL)

    return checkpoint
