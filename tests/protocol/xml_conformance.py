"""Reads an answer's raw XML against the model, as strict clients do; botocore's parser overlooks most of it."""

import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree as ET

NAMESPACE = "{http://ec2.amazonaws.com/doc/2016-11-15/}"

SYNTAX = {
    "integer": re.compile(r"-?\d+"),
    "long": re.compile(r"-?\d+"),
    "boolean": re.compile("true|false"),
    "timestamp": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
    "blob": re.compile(r"[A-Za-z0-9+/]*={0,2}"),
    "double": re.compile(r"-?\d+(\.\d+)?(e[+-]\d+)?"),
    "float": re.compile(r"-?\d+(\.\d+)?(e[+-]\d+)?"),
}


def assert_conforms(body: bytes, operation_name: str, output_shape: Any) -> None:
    """Fail where an EC2 answer is not what its model says.

    Args:
        body: The whole answer.
        operation_name: The root element is named after it.
        output_shape: botocore's shape; None for an operation without output, which answers `return`.
    """
    root = ET.fromstring(body)  # noqa: S314 - it is our own
    assert root.tag == f"{NAMESPACE}{operation_name}Response"
    request_ids = [child for child in root if child.tag == f"{NAMESPACE}requestId"]
    assert len(request_ids) == 1
    root.remove(request_ids[0])
    if output_shape is None:
        assert [(child.tag, child.text) for child in root] == [(f"{NAMESPACE}return", "true")]
    else:
        _check(root, output_shape, operation_name)


def assert_is_error_document(body: bytes) -> None:
    """Fail where a refusal is not what EC2's clients parse: no namespace, one error, the request's id."""
    root = ET.fromstring(body)  # noqa: S314 - it is our own
    assert root.tag == "Response"
    assert [child.tag for child in root] == ["Errors", "RequestID"]
    (error,) = root[0]
    assert [child.tag for child in error] == ["Code", "Message"]
    assert all(child.text for child in error)
    assert root[1].text


def _check(node: ET.Element, shape: Any, path: str) -> None:
    match shape.type_name:
        case "structure":
            members = {
                NAMESPACE + member.serialization.get("name", name): member for name, member in shape.members.items()
            }
            repeated = [tag for tag, count in Counter(child.tag for child in node).items() if count > 1]
            assert not repeated, f"{path}: {repeated} more than once"
            for child in node:
                assert child.tag in members, f"{path}: {child.tag} is not in {shape.name}"
                _check(child, members[child.tag], f"{path}.{child.tag.removeprefix(NAMESPACE)}")
        case "list":
            tag = NAMESPACE + shape.member.serialization.get("name", "member")
            for child in node:
                assert child.tag == tag, f"{path}: {child.tag} in a list of {tag}"
                _check(child, shape.member, f"{path}[]")
        case scalar:
            text = node.text or ""
            assert len(node) == 0, f"{path}: elements inside a {scalar}"
            if scalar in SYNTAX:
                assert SYNTAX[scalar].fullmatch(text), f"{path}: {text!r} is no {scalar}"
