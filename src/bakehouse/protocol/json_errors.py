"""Errors of the JSON services: their names, their members."""

from typing import Any, Final

from bakehouse.protocol.model import ServiceModel

#: What EC2 and the signature's rules call an error -> what the JSON services call it.
#: Source: common errors of the EBS direct APIs, the Recycle Bin and the Systems Manager API references.
_NAMES: Final = {
    "AuthFailure": ("UnrecognizedClientException",),
    "IdempotentParameterMismatch": ("ConflictException",),
    "IncompleteSignature": ("IncompleteSignatureException",),
    "InternalError": ("InternalServerException", "InternalServerError"),
    "InvalidClientTokenId": ("UnrecognizedClientException",),
    "MissingAuthenticationToken": ("MissingAuthenticationTokenException",),
    "RequestExpired": ("InvalidSignatureException",),
    "SignatureDoesNotMatch": ("InvalidSignatureException",),
    "Unavailable": ("ServiceUnavailableException",),
}

#: The `Reason` of a request that the model's own limits refuse.
_INVALID: Final = "INVALID_PARAMETER_VALUE"


def name_of_error(model: ServiceModel, code: str, status: int) -> tuple[str, int]:
    """Return the name and the HTTP status of an error; the model's, where it has the error."""
    names = _NAMES.get(code, (code,))
    for name in (code, *names):
        shape = model.error(name)
        if shape is not None:
            return name, shape.http_status
    return names[0], status


def error_body(model: ServiceModel, name: str, message: str, reason: str | None) -> dict[str, Any]:
    """Return the members of an error as JSON has them."""
    shape = model.error(name)
    if shape is None:
        return {"message": message}
    body: dict[str, Any] = {}
    for member in shape.members.values():
        if member.name.lower() == "message":
            body[member.response_name] = message
        elif member.name == "Reason":
            if reason is None and _INVALID in member.shape.enum:
                reason = _INVALID
            if reason is not None:
                body[member.response_name] = reason
    return body
