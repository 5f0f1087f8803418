"""The API endpoint: one HTTP request in, one answer out.

A request is verified, parsed by the service model, handed to its operation and serialized by the same model. It is a
plain ASGI application, because every layer between would be paid for on each call.
"""

import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from functools import cache
from typing import Any, Final

import structlog

from bakehouse.app.app import App
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.region import REGIONS
from bakehouse.ec2.dispatch import Dispatcher
from bakehouse.ec2.operations import OPERATIONS
from bakehouse.ec2.registry import RequestContext
from bakehouse.protocol.errors import ProtocolError, error_document
from bakehouse.protocol.form import decode_form
from bakehouse.protocol.model import Service, ServiceModel
from bakehouse.protocol.requests import parse_request
from bakehouse.protocol.responses import serialize_response
from bakehouse.protocol.sigv4 import Identity, SignedRequest, verify
from bakehouse.store.store import StoreUnavailable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: Larger bodies are refused unread. User data of 16 KiB in base64, a thousand ids and all tags stay well below it.
_BODY_MAX: Final = 1024 * 1024

_log = structlog.get_logger()


class Endpoint:
    """Answers EC2's operations, and STS's GetCallerIdentity, over HTTP."""

    def __init__(self, app: App, *, page_key: bytes, now: Callable[[], datetime]) -> None:
        """Load the service models; operations are compiled at their first use."""
        self._app = app
        self._page_key = page_key
        self._now = now
        self._models = _models()
        self._dispatcher = Dispatcher()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request_id = str(uuid.uuid4())
        service = "ec2"
        try:
            body = await _read_body(receive)
            identity = self._verify(scope, body)
            service = identity.service
            status, answer = 200, await self._answer(scope, body, identity, request_id)
        except (ProtocolError, Ec2Error) as refusal:
            status = refusal.http_status if isinstance(refusal, ProtocolError) else refusal.status
            answer = _document(refusal.code, refusal.message, request_id, service, status)
        except StoreUnavailable:
            _log.exception("store unavailable", request_id=request_id)
            status = 503
            answer = _document("Unavailable", "The server could not write to its disk.", request_id, service, status)
        except Exception:  # noqa: BLE001 - a client always gets an answer; the log gets the reason
            _log.exception("internal error", request_id=request_id)
            status = 500
            answer = _document("InternalError", "An internal error has occurred.", request_id, service, status)
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", b"text/xml;charset=UTF-8"),
                    (b"content-length", str(len(answer)).encode()),
                    (b"x-amzn-requestid", request_id.encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer})

    def _verify(self, scope: Scope, body: bytes) -> Identity:
        request = SignedRequest(
            method=scope["method"],
            path=scope["raw_path"],
            query=scope["query_string"],
            headers=scope["headers"],
            body=body,
        )
        return verify(request, self._secret, self._now())

    def _secret(self, access_key_id: str) -> str | None:
        key = self._app.accounts.access_key(access_key_id)
        return key.secret if key else None

    async def _answer(self, scope: Scope, body: bytes, identity: Identity, request_id: str) -> bytes:
        parameters = decode_form(scope["query_string"])
        if body:
            parameters += decode_form(body)
        name = next((value for parameter, value in parameters if parameter == "Action"), "")
        model_operation = self._models[identity.service].operation(name)
        if model_operation is None:
            raise ProtocolError("InvalidAction", f"The action {name} is not valid for this web service.")
        operation = OPERATIONS.get(name)
        if operation is None:
            raise ProtocolError("UnsupportedOperation", f"The operation {name} is not supported by this endpoint.")
        ctx = RequestContext(
            app=self._app,
            caller=await self._caller(identity),
            operation=name,
            request_id=request_id,
            page_key=self._page_key,
        )
        request = parse_request(model_operation, parameters)
        token_member = model_operation.client_token_member
        response = await self._dispatcher.call(ctx, operation, request, token_member=token_member)
        return serialize_response(model_operation, response, request_id)

    async def _caller(self, identity: Identity) -> Caller:
        if identity.region not in REGIONS:
            raise ProtocolError("SignatureDoesNotMatch", "Credential should be scoped to a valid region.", 403)
        key = self._app.accounts.access_key(identity.access_key_id)
        if key is None:
            raise ProtocolError("AuthFailure", "The access key is no longer valid.", 401)
        caller = Caller(account_id=key.account_id, region=identity.region, access_key_id=key.id)
        await self._app.networks.ensure_default(caller)
        return caller


@cache
def _models() -> dict[Service, ServiceModel]:
    """Return the models, the same ones for every server of this process: what is compiled of them stays."""
    return {"ec2": ServiceModel.load("ec2"), "sts": ServiceModel.load("sts")}


def _document(code: str, message: str, request_id: str, service: str, status: int) -> bytes:
    if service == "sts":
        return error_document(code, message, request_id, service="sts", http_status=status)
    return error_document(code, message, request_id, http_status=status)


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    _check_size(len(body))
    if not message.get("more_body"):
        return body
    pieces = bytearray(body)
    while message.get("more_body"):
        message = await receive()
        pieces += message.get("body", b"")
        _check_size(len(pieces))
    return bytes(pieces)


def _check_size(size: int) -> None:
    if size > _BODY_MAX:
        raise ProtocolError("RequestEntityTooLarge", f"The request is larger than {_BODY_MAX} bytes.", 413)
