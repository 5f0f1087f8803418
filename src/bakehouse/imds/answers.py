"""What the metadata service answers to one request of one guest.

Sources: EC2 User Guide, "Use the Instance Metadata Service to access instance metadata" and "Access instance metadata
for an EC2 instance" (responses and error messages).
"""

from datetime import datetime
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bakehouse.domain.instance_metadata import InstanceMetadata
from bakehouse.imds.nodes import Directory, Node
from bakehouse.imds.tokens import TOKEN_TTL_MAX_S, Tokens
from bakehouse.imds.tree import find

_TOKEN_PATH: Final = "latest/api/token"  # noqa: S105 - a path
_TOKEN_HEADER: Final = "x-aws-ec2-metadata-token"  # noqa: S105 - a header's name
_TTL_HEADER: Final = "x-aws-ec2-metadata-token-ttl-seconds"

#: The page that AWS answers an error with; a few old clients look for its title.
_ERROR_PAGE: Final = """\
<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>{status:d} - {status.phrase}</title>
 </head>
 <body>
  <h1>{status:d} - {status.phrase}</h1>
 </body>
</html>
"""


class _Refused(Exception):
    """The request gets an error page."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


def answer(request: Request, metadata: InstanceMetadata | None, tokens: Tokens, now: datetime) -> Response:
    """Answer a request; `metadata` is of the instance whose address it came from, None when there is none."""
    try:
        return _answered(request, metadata, tokens, now)
    except _Refused as refused:
        return _error_page(refused.status)


def _answered(request: Request, metadata: InstanceMetadata | None, tokens: Tokens, now: datetime) -> Response:
    if metadata is None:
        raise _Refused(HTTPStatus.NOT_FOUND)
    if not metadata.instance.metadata_options.endpoint_enabled:
        raise _Refused(HTTPStatus.FORBIDDEN)
    path = "/".join(name for name in request.scope["path"].split("/") if name)
    if request.method == "PUT":
        return _new_token(request, path, metadata, tokens, now)
    if request.method not in ("GET", "HEAD") or path == _TOKEN_PATH:
        raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED)
    session = _session(request, metadata, tokens, now)
    return _found(find(metadata, path), session)


def _new_token(request: Request, path: str, metadata: InstanceMetadata, tokens: Tokens, now: datetime) -> Response:
    """Issue a token: none to a request that came through a proxy, none at a dated version; the Guide says both."""
    if "x-forwarded-for" in request.headers:
        raise _Refused(HTTPStatus.FORBIDDEN)
    if path != _TOKEN_PATH:
        dated = path.endswith(_TOKEN_PATH.removeprefix("latest"))
        raise _Refused(HTTPStatus.FORBIDDEN if dated else HTTPStatus.METHOD_NOT_ALLOWED)
    ttl_s = _ttl(request.headers.get(_TTL_HEADER, ""))
    if ttl_s is None:
        raise _Refused(HTTPStatus.BAD_REQUEST)
    request.state.limit_hops(metadata.instance.metadata_options.hop_limit)
    token = tokens.issue(metadata.instance.id, ttl_s, now)
    return Response(token, headers={"content-type": "text/plain", _TTL_HEADER: str(ttl_s)})


def _session(request: Request, metadata: InstanceMetadata, tokens: Tokens, now: datetime) -> dict[str, str]:
    """Return the headers that tell how long the request's token lives: none without one, where none is needed."""
    token = request.headers.get(_TOKEN_HEADER)
    if token is None:
        if metadata.instance.metadata_options.tokens_required:
            raise _Refused(HTTPStatus.UNAUTHORIZED)
        return {}
    seconds_left = tokens.seconds_left(token, metadata.instance.id, now)
    if seconds_left is None:
        raise _Refused(HTTPStatus.UNAUTHORIZED)
    return {_TTL_HEADER: str(seconds_left)}


def _found(node: Node | None, session: dict[str, str]) -> Response:
    if node is None:
        raise _Refused(HTTPStatus.NOT_FOUND)
    if isinstance(node, bytes):
        return Response(node, headers={"content-type": "application/octet-stream", **session})
    text = node.listing() if isinstance(node, Directory) else node
    return Response(text, headers={"content-type": "text/plain", **session})


def _ttl(text: str) -> int | None:
    """Return the seconds that a header asks for, None when they are no number between 1 and 6 h."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(TOKEN_TTL_MAX_S))):
        return None
    ttl_s = int(text)
    return ttl_s if 1 <= ttl_s <= TOKEN_TTL_MAX_S else None


def _error_page(status: HTTPStatus) -> Response:
    headers = {"content-type": "text/html; charset=iso-8859-1"}
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = "GET, HEAD, PUT"
    return Response(_ERROR_PAGE.format(status=status), status_code=status, headers=headers)
