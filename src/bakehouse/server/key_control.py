"""Keys of volumes for the host's owner, over the control socket."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bakehouse.app.encryption import Keys
from bakehouse.domain.caller import Caller
from bakehouse.domain.kms_key import KmsKey


class KeyControl:
    """Handlers for `bakehouse key`."""

    def __init__(self, keys: Keys) -> None:
        """Make and list these."""
        self._keys = keys

    def routes(self) -> list[Route]:
        """Return where they answer."""
        return [
            Route("/keys/{account_id}/{region}", self._list),
            Route("/keys/{account_id}/{region}", self._create, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        return JSONResponse([_view(key) for key in self._keys.all(_caller(request))])

    async def _create(self, request: Request) -> Response:
        wanted = await request.json()
        made = await self._keys.create(
            _caller(request), description=wanted.get("description", ""), alias=wanted.get("alias")
        )
        return JSONResponse(_view(made), status_code=201)


def _caller(request: Request) -> Caller:
    return Caller(account_id=request.path_params["account_id"], region=request.path_params["region"])


def _view(key: KmsKey) -> dict[str, object]:
    return {
        "key_id": key.id,
        "arn": key.arn,
        "aliases": list(key.aliases),
        "description": key.description,
        "created_at": key.created_at.isoformat(),
    }
