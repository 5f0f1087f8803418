"""Copies of records with other tags."""

from dataclasses import fields
from typing import Any

import pytest

from bakehouse.domain.tags import tagged
from bakehouse.store.tables import RECORD_TYPES

TAGGABLE = [it for it in RECORD_TYPES.values() if any(field.name == "tags" for field in fields(it))]


def values(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


@pytest.mark.parametrize("record_type", TAGGABLE)
def test_a_copy_has_other_tags_and_is_otherwise_the_same(record_type: type[Any]) -> None:
    record = object.__new__(record_type)
    for field in fields(record_type):
        object.__setattr__(record, field.name, f"the {field.name}")

    copy = tagged(record, {"a": "b"})

    assert type(copy) is record_type
    assert values(copy) == values(record) | {"tags": {"a": "b"}}
    assert record.tags == "the tags"
