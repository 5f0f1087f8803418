"""What the protocol itself refuses, and how any refusal is written."""

from typing import Final

from bakehouse.protocol.xml_text import escape

XML_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'

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
    code: str, message: str, request_id: str, *, namespace: str | None = None, http_status: int = 400
) -> bytes:
    """Return the body of an error answer in the form that the service's clients parse.

    Args:
        code: EC2's error code.
        message: The sentence a user reads; escaped here.
        request_id: A UUID, the same as in the log.
        namespace: Of the service, where it speaks the query protocol as IAM and STS do; None for EC2, which has an
            error document of its own, without one.
        http_status: Says with a namespace whose fault it was (`Sender` or `Receiver`); not part of EC2's document.
    """
    if namespace is None:
        document = (
            f"<Response><Errors><Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
            f"</Errors><RequestID>{escape(request_id)}</RequestID></Response>"
        )
    else:
        fault = "Receiver" if http_status >= _FIRST_SERVER_ERROR else "Sender"
        document = (
            f'<ErrorResponse xmlns="{escape(namespace)}"><Error><Type>{fault}</Type><Code>{escape(code)}</Code>'
            f"<Message>{escape(message)}</Message></Error><RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
        )
    return (XML_DECLARATION + document).encode()
