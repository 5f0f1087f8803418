"""How a table of records is made."""

from typing import Any

import sqlalchemy as sa
from alembic import op


def create_record_table(name: str) -> None:
    """Make a table of ids and documents.

    Records are read in the order of their making. SQLite numbers its rows by itself; a row of PostgreSQL moves when it
    is changed, so there the order is a column.
    """
    columns: list[sa.Column[Any]] = [
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
    ]
    if op.get_bind().dialect.name == "postgresql":
        columns.append(sa.Column("made", sa.BigInteger, sa.Identity(always=True), nullable=False))
    op.create_table(name, *columns)
