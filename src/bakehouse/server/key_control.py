"""Keys of volumes for the host's owner, over the control socket."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bakehouse.app.accounts import Accounts
from bakehouse.app.encryption import Keys
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_parameter
from bakehouse.domain.kms_key import KmsKey
from bakehouse.domain.region import REGIONS


class KeyControl:
    """Handlers for `bakehouse key`."""

    def __init__(self, keys: Keys, accounts: Accounts) -> None:
        """Make and list these, for accounts that are there."""
        self._keys = keys
        self._accounts = accounts

    def routes(self) -> list[Route]:
        """Return where they answer."""
        return [
            Route("/keys/{account_id}/{region}", self._list),
            Route("/keys/{account_id}/{region}", self._create, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        return JSONResponse([_view(key) for key in self._keys.all(self._caller(request))])

    async def _create(self, request: Request) -> Response:
        wanted = await request.json()
        made = await self._keys.create(
            self._caller(request), description=wanted.get("description", ""), alias=wanted.get("alias")
        )
        return JSONResponse(_view(made), status_code=201)

    def _caller(self, request: Request) -> Caller:
        account_id, region = request.path_params["account_id"], request.path_params["region"]
        if all(account.id != account_id for account, _keys in self._accounts.all()):
            raise invalid_parameter(f"There is no account `{account_id}`; see `bakehouse account list`.")
        if region not in REGIONS:
            raise invalid_parameter(f"There is no region `{region}`; there are {', '.join(REGIONS)}.")
        return Caller(account_id=account_id, region=region)


def _view(key: KmsKey) -> dict[str, object]:
    return {
        "key_id": key.id,
        "arn": key.arn,
        "aliases": list(key.aliases),
        "description": key.description,
        "created_at": key.created_at.isoformat(),
    }
