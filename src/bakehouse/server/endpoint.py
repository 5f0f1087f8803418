"""The API endpoint: one HTTP request in, one answer out.

A request is verified, parsed by the service model, handed to its operation and serialized by the same model. It is a
plain ASGI application, because every layer between would be paid for on each call.
"""

import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from typing import Any, Final

from bakehouse.app.app import App
from bakehouse.domain.caller import Caller
from bakehouse.domain.region import REGIONS
from bakehouse.ec2.dispatch import Dispatcher
from bakehouse.ec2.operations import SERVICES
from bakehouse.ec2.registry import RequestContext
from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.signed_request import Identity, SignedRequest
from bakehouse.protocol.sigv4 import claimed_service, verify
from bakehouse.protocol.wires import Answer, wire_of
from bakehouse.server import serial_console
from bakehouse.server.refusals import refusal_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: Larger bodies are refused unread. User data of 16 KiB in base64, a thousand ids and all tags stay well below it, and
#: so does a block of a snapshot, of 512 KiB.
_BODY_MAX: Final = 1024 * 1024


class Endpoint:
    """Answers the operations of EC2 and of the services beside it, over HTTP."""

    def __init__(self, app: App, *, page_key: bytes, home_region: str, now: Callable[[], datetime]) -> None:
        """Load EC2's model; those of other services, and all operations, are compiled at their first use."""
        self._app = app
        self._home_region = home_region
        self._page_key = page_key
        self._now = now
        self._dispatcher = Dispatcher()
        self._serial_consoles = serial_console.SerialConsoles(app, self._signer)
        wire_of("ec2")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one connection."""
        if scope["raw_path"].startswith(serial_console.PATH):
            await self._serial_consoles(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        request_id = str(uuid.uuid4())
        try:
            request = SignedRequest(
                method=scope["method"],
                path=scope["raw_path"],
                query=scope["query_string"],
                headers=scope["headers"],
                body=await _read_body(receive),
            )
            identity = verify(request, self._secret, self._now(), self._session)
            answer = await self._answer(request, identity, request_id)
        except Exception as err:  # noqa: BLE001 - a client always gets an answer; the log gets the reason
            service = claimed_service(scope["headers"], scope["query_string"])
            answer = wire_of(service).refusal(refusal_of(err, request_id), request_id)
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    *answer.headers,
                    (b"content-length", str(len(answer.body)).encode()),
                    (b"x-amzn-requestid", request_id.encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    def _secret(self, access_key_id: str) -> str | None:
        key = self._app.accounts.access_key(access_key_id)
        return key.secret if key else None

    def _session(self, access_key_id: str, token: str) -> tuple[str, datetime] | None:
        session = self._app.role_sessions.session(access_key_id, token)
        return None if session is None else (session.secret, session.expires_at)

    async def _answer(self, request: SignedRequest, identity: Identity, request_id: str) -> Answer:
        wire = wire_of(identity.service)
        call = wire.call(request)
        name = call.operation.name
        operation = SERVICES[identity.service].get(name)
        if operation is None:
            raise ProtocolError("UnsupportedOperation", f"The operation {name} is not supported by this endpoint.")
        ctx = RequestContext(
            app=self._app,
            caller=self._caller(request, identity),
            operation=name,
            request_id=request_id,
            page_key=self._page_key,
        )
        token_member = call.operation.client_token_member
        response = await self._dispatcher.call(ctx, operation, call.read(), token_member=token_member)
        return wire.answer(call.operation, response, request_id)

    async def _signer(self, scope: Scope) -> Caller:
        """Return who signed a request without a body; a WebSocket's is a GET."""
        request = SignedRequest(
            scope.get("method", "GET"), scope["raw_path"], scope["query_string"], scope["headers"], b""
        )
        identity = verify(request, self._secret, self._now(), self._session)
        if identity.service != "ec2":
            raise ProtocolError("SignatureDoesNotMatch", "Credential should be scoped to correct service: 'ec2'.", 403)
        return self._caller(request, identity)

    def _caller(self, request: SignedRequest, identity: Identity) -> Caller:
        region = identity.region or _region_of_host(request) or self._home_region
        if region not in REGIONS:
            raise ProtocolError("SignatureDoesNotMatch", "Credential should be scoped to a valid region.", 403)
        caller = self._app.role_sessions.caller(identity.access_key_id, identity.session_token, region)
        if caller is None:
            raise ProtocolError("AuthFailure", "The access key is no longer valid.", 401)
        return caller


def _region_of_host(request: SignedRequest) -> str | None:
    """Return the region that is a label of the host's name, as in `ec2.eu-west-1.amazonaws.com`; None if none is.

    With signatures of version 2 a client of AWS chooses its region so, and by nothing else.
    """
    host = next((value for name, value in request.headers if name.lower() == b"host"), b"")
    labels = host.decode("latin-1").lower().split(":")[0].split(".")
    return next((label for label in labels if label in REGIONS), None)


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    _check_size(len(body))
    if not message.get("more_body"):
        return body
    pieces, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        _check_size(size)
    return b"".join(pieces)


def _check_size(size: int) -> None:
    if size > _BODY_MAX:
        raise ProtocolError("RequestEntityTooLarge", f"The request is larger than {_BODY_MAX} bytes.", 413)
