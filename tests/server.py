"""A whole server in a thread of the test's process, over fake drivers, spoken to by boto3."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import botocore.client
import botocore.config
import botocore.hooks
from tests.protocol.xml_conformance import assert_conforms, assert_is_error_document

from bakehouse.bootstrap.drivers import Drivers, make_drivers
from bakehouse.bootstrap.home import prepare_home
from bakehouse.bootstrap.server import Server, running_server
from bakehouse.domain.account import AccessKey
from bakehouse.sagas.engine import Checkpoint, no_checkpoint
from bakehouse.server.listener import serve, tcp_socket
from bakehouse.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

T = TypeVar("T")

_START_DEADLINE_S = 30
#: A sweep writes down what it finds, such as how large snapshots are, in the middle of whatever a test compares.
SWEEP_PERIOD_S = 86400.0
#: A server over fakes is done in milliseconds: waiters ask this often, for as long as they would have waited anyway.
ASK_EVERY_S = 0.02


def _share_among_clients() -> None:
    """Let clients of a service share their class and their model.

    boto3 makes 800 methods anew for each, and every shape that a request or an answer has: longer than most tests.
    And it looks up anew for each how the names of events, which are the same for all, are spelled today.
    """
    creator: Any = botocore.client.ClientCreator
    for name in ("_create_client_class", "_load_service_model"):
        setattr(creator, name, _made_once(getattr(creator, name)))
    aliaser: Any = botocore.hooks.EventAliaser
    aliaser._alias_event_name = _made_once(aliaser._alias_event_name)


def _made_once(make: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[str, Any] = {}

    def made(self: Any, service_name: str, *how: Any) -> Any:
        if service_name not in known:
            known[service_name] = make(self, service_name, *how)
        return known[service_name]

    return made


_share_among_clients()


def _ask_often(client: Any) -> None:
    """Let the waiters of a client see sooner that what they wait for is there."""
    get_waiter = client.get_waiter

    def get(name: str) -> Any:
        waiter = get_waiter(name)
        wait = waiter.wait

        def wait_asking_often(*, WaiterConfig: Mapping[str, Any] = MappingProxyType({}), **request: Any) -> None:  # noqa: N803 - boto3's
            delay = WaiterConfig.get("Delay", waiter.config.delay)
            attempts = WaiterConfig.get("MaxAttempts", waiter.config.max_attempts)
            often = 1 + int((attempts - 1) * delay / ASK_EVERY_S) if delay else attempts
            wait(WaiterConfig={"Delay": min(delay, ASK_EVERY_S), "MaxAttempts": often}, **request)

        waiter.wait = wait_asking_often
        return waiter

    client.get_waiter = get


class RunningServer:
    """A server that listens, with its insides at hand."""

    def __init__(self, server: Server, drivers: Drivers, url: str, loop: asyncio.AbstractEventLoop, home: Path) -> None:
        self.server = server
        self.home = home
        self.drivers = drivers
        self.url = url
        self._loop = loop
        self._keys: dict[str, AccessKey] = {}
        self._tries = 0

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's event loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)

    def access_key(self, account: str = "default") -> AccessKey:
        """Return the access key of an account, which is made at its first use."""
        if account not in self._keys:
            name = f"{account}, try {self._tries}" if self._tries else account
            self._keys[account] = self.call(self.server.app.accounts.create(name))
        return self._keys[account]

    def begin_again(self, test: str) -> None:
        """Let a test that failed have new accounts for its next try: those of that name have what it left there."""
        self._tries += 1
        self._keys = {account: key for account, key in self._keys.items() if test not in account}

    def ec2(self, account: str = "default", region: str = "us-east-1") -> "EC2Client":
        """Return a boto3 client of an account."""
        client: EC2Client = self.client("ec2", account, region)
        return client

    def client(self, service: str, account: str = "default", region: str = "us-east-1") -> Any:
        """Return a boto3 client of a service."""
        key = self.access_key(account)
        client = boto3.client(  # type: ignore[call-overload] # any service
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            config=botocore.config.Config(retries={"max_attempts": 0}),
        )
        _ask_often(client)
        if service == "ec2":
            client.meta.events.register("before-parse.ec2", assert_answer_conforms)
        return client


def assert_answer_conforms(*, operation_model: Any, response_dict: Any, **_others: Any) -> None:
    """Read every answer as strict clients do, whatever the test is about."""
    if response_dict["status_code"] == HTTPStatus.OK:
        assert_conforms(response_dict["body"], operation_model.name, operation_model.output_shape)
    else:
        assert_is_error_document(response_dict["body"])


@contextmanager
def server(
    home: Path,
    *,
    drivers: Callable[[Path, Settings], Drivers] = make_drivers,
    checkpoint: Checkpoint = no_checkpoint,
    database_url: str | None = None,
) -> Iterator[RunningServer]:
    """Run a simulating server for as long as the block lasts."""
    prepare_home(home)
    started: Future[RunningServer] = Future()
    stopping: list[Callable[[], object]] = []

    async def run() -> None:
        settings = Settings(simulate=True, stop_timeout_s=1, database_url=database_url)
        made = drivers(home, settings)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        stopping.append(lambda: loop.call_soon_threadsafe(stop.set))
        async with running_server(home, settings, drivers=made, checkpoint=checkpoint) as inner:
            inner.reconciler._period_s = SWEEP_PERIOD_S
            listener = tcp_socket(0)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            started.set_result(RunningServer(inner, made, url, loop, home))
            await serve(inner.endpoint, listener, stop)

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as err:
            if not started.done():
                started.set_exception(err)
            raise

    worker = threading.Thread(target=thread, name="server")
    worker.start()
    try:
        yield started.result(timeout=_START_DEADLINE_S)
    finally:
        for stop in stopping:
            stop()
        worker.join(timeout=_START_DEADLINE_S)
