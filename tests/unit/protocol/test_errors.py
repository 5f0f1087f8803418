from typing import Any

from botocore.parsers import EC2QueryParser, QueryParser

from bakehouse.protocol.errors import error_document


def test_an_ec2_error_has_no_namespace() -> None:
    assert error_document("InvalidAction", "no <such> action", "request-1").decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<Response><Errors><Error><Code>InvalidAction</Code><Message>no &lt;such&gt; action</Message></Error></Errors>"
        "<RequestID>request-1</RequestID></Response>"
    )


def test_an_ec2_error_is_read_by_botocore() -> None:
    document = error_document("VpcLimitExceeded", "too <many> \x00 & more", "request-1")

    parser: Any = EC2QueryParser()
    parsed = parser.parse({"body": document, "headers": {}, "status_code": 400}, None)

    assert parsed["Error"] == {"Code": "VpcLimitExceeded", "Message": "too <many> \ufffd & more"}
    assert parsed["ResponseMetadata"]["RequestId"] == "request-1"


def test_an_sts_error_says_whose_fault_it_was() -> None:
    document = error_document(
        "InternalFailure", "oh", "request-1", namespace="https://sts.amazonaws.com/doc/2011-06-15/", http_status=500
    )

    parser: Any = QueryParser()
    parsed = parser.parse({"body": document, "headers": {}, "status_code": 500}, None)

    assert parsed["Error"] == {"Type": "Receiver", "Code": "InternalFailure", "Message": "oh"}
