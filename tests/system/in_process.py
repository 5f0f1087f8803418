"""A whole server in the test's own thread and without sockets: an ASGI application that is called."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.server import SWEEP_PERIOD_S
from tests.soundness import assert_archived, assert_sound
from tests.system.refusals import records_by_id
from tests.system.wire import VERSION, Answer

from bakehouse.app.image_imports import ImportImage
from bakehouse.app.retention_rules import RuleRequest
from bakehouse.bootstrap.drivers import make_drivers
from bakehouse.bootstrap.home import prepare_home
from bakehouse.bootstrap.server import Server, running_server
from bakehouse.domain.account import AccessKey
from bakehouse.domain.caller import Caller
from bakehouse.domain.retention_rule import RetainedType
from bakehouse.drivers.hypervisor.fake import FakeHypervisor
from bakehouse.drivers.network.fake.fabric import FakeNetworkFabric
from bakehouse.drivers.volumes.fake import FakeVolumeStore
from bakehouse.settings import Settings

URL = "http://127.0.0.1:8773/"

Pairs = list[tuple[str, str]]


class InProcess:
    """Asks a server and waits until nothing is under way any more."""

    def __init__(self, server: Server, runner: asyncio.Runner) -> None:
        self.server = server
        self._runner = runner
        self._keys: dict[str, AccessKey] = {}

    @property
    def records(self) -> Mapping[str, Any]:
        return self.server.context.store.records

    def versions(self) -> dict[str, int]:
        """Return a number for each kind of record that grows with every change."""
        return {name: records.version for name, records in self.records.items()}

    def contents(self) -> dict[str, dict[str, Any]]:
        return records_by_id(self.records)

    def key(self, account: str) -> AccessKey:
        if account not in self._keys:
            self._keys[account] = self._runner.run(self.server.app.accounts.create(account))
        return self._keys[account]

    def import_image(self, account: str, disk: Path, name: str) -> str:
        """Make an image of a file and return its id."""
        caller = Caller(account_id=self.key(account).account_id, region="us-east-1")
        order = ImportImage(path=disk, name=name)
        images = self.server.app.images
        return self._runner.run(images.import_file(caller, order, progress=lambda _fraction: None)).id

    def retain_everything(self, account: str) -> None:
        """Let what an account deletes go into the Recycle Bin."""
        caller = Caller(account_id=self.key(account).account_id, region="us-east-1")
        for resource_type in RetainedType:
            request = RuleRequest(resource_type=resource_type, retention_days=1)
            self._runner.run(self.server.app.retention_rules.create(caller, request))

    def ask(self, action: str, parameters: Pairs, *, account: str = "alice") -> Answer:
        """Sign a request, have it answered, and let the sagas that it began end."""
        (answer,) = self.ask_at_once([(action, parameters)], account=account)
        return answer

    def ask_at_once(self, requests: Iterable[tuple[str, Pairs]], *, account: str = "alice") -> list[Answer]:
        """Have requests answered side by side, and let the sagas that they began end."""
        key = self.key(account)
        signed = [_signed(action, parameters, Credentials(key.id, key.secret)) for action, parameters in requests]
        return self._runner.run(self._answers(signed))

    def assert_sound(self) -> None:
        """Assert that the records and the host agree."""
        context = self.server.context
        hypervisor, volumes, network = context.hypervisor, context.volumes, context.network
        assert isinstance(hypervisor, FakeHypervisor)
        assert isinstance(volumes, FakeVolumeStore)
        assert isinstance(network, FakeNetworkFabric)
        self._runner.run(assert_sound(context.store, hypervisor, volumes, network))
        assert_archived(context.store, self._runner.run(context.archive.ids()))

    async def _answers(self, requests: Iterable[AWSRequest]) -> list[Answer]:
        answers = await asyncio.gather(*(self._answer(request) for request in requests))
        await self.server.engine.settle()
        return answers

    async def _answer(self, request: AWSRequest) -> Answer:
        headers = [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
        headers.append((b"host", b"127.0.0.1:8773"))
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": headers,
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": request.data}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.server.endpoint(scope, receive, send)
        return Answer(sent[0]["status"], sent[1]["body"])


def _signed(action: str, parameters: Pairs, credentials: Credentials) -> AWSRequest:
    body = urlencode([("Action", action), ("Version", VERSION), *parameters], errors="surrogatepass").encode()
    request = AWSRequest("POST", URL, headers={"Content-Type": "application/x-www-form-urlencoded"}, data=body)
    SigV4Auth(credentials, "ec2", "us-east-1").add_auth(request)
    return request


async def _begun(running: AbstractAsyncContextManager[Server]) -> Server:
    server = await running.__aenter__()
    server.reconciler._period_s = SWEEP_PERIOD_S
    return server


@contextmanager
def in_process(home: Path) -> Iterator[InProcess]:
    """Run a simulating server for as long as the block lasts."""
    prepare_home(home)
    settings = Settings(simulate=True, stop_timeout_s=1)
    with asyncio.Runner() as runner:
        running = running_server(home, settings, drivers=make_drivers(home, settings))
        server = runner.run(_begun(running))
        try:
            yield InProcess(server, runner)
        finally:
            runner.run(running.__aexit__(None, None, None))
