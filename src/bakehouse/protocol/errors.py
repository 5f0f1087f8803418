"""What the protocol itself refuses, and how any refusal is written."""

from typing import TYPE_CHECKING, Final

from bakehouse.protocol.xml_text import escape

if TYPE_CHECKING:
    from bakehouse.protocol.model import Service

XML_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'

#: Source: `xmlNamespace` of botocore's service model for STS, and what AWS STS answers.
_STS_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"

_FIRST_SERVER_ERROR: Final = 500


class ProtocolError(Exception):
    """A request that is refused before any operation sees it.

    Attributes:
        code: EC2's error code, such as `MissingParameter`.
        message: The sentence a user reads.
        http_status: The status of the answer.
    """

    def __init__(self, code: str, message: str, http_status: int = 400) -> None:
        super().__init__(code, message, http_status)
        self.code = code
        self.message = message
        self.http_status = http_status

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def error_document(
    code: str, message: str, request_id: str, *, service: "Service" = "ec2", http_status: int = 400
) -> bytes:
    """Return the body of an error answer in the form that the clients of `service` parse.

    Args:
        code: EC2's error code.
        message: The sentence a user reads; escaped here.
        request_id: A UUID, the same as in the log.
        service: EC2 has an error document of its own, without a namespace; STS has that of the query
            protocol.
        http_status: Says for STS whose fault it was (`Sender` or `Receiver`); not part of EC2's document.
    """
    if service == "ec2":
        document = (
            f"<Response><Errors><Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
            f"</Errors><RequestID>{escape(request_id)}</RequestID></Response>"
        )
    else:
        fault = "Receiver" if http_status >= _FIRST_SERVER_ERROR else "Sender"
        document = (
            f'<ErrorResponse xmlns="{_STS_NAMESPACE}"><Error><Type>{fault}</Type><Code>{escape(code)}</Code>'
            f"<Message>{escape(message)}</Message></Error><RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
        )
    return (XML_DECLARATION + document).encode()
