"""Public names for the host's owner, over the control socket."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bakehouse.app.public_names import PublicNames
from bakehouse.domain.public_names import PUBLIC_DOMAIN


class NameControl:
    """Handler for `bakehouse names`."""

    def __init__(self, names: PublicNames) -> None:
        """Tell of these."""
        self._names = names

    def routes(self) -> list[Route]:
        """Return where it answers."""
        return [Route("/names", self._look)]

    async def _look(self, _request: Request) -> Response:
        status = await self._names.check()
        names = [asdict(named) for named in self._names.in_use()]
        return JSONResponse({"domain": PUBLIC_DOMAIN, **asdict(status), "names": names})
