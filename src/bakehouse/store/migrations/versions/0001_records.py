"""The first tables: one for each type of record."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TABLES: Final = (
    "accounts",
    "access_keys",
    "client_tokens",
    "images",
    "instances",
    "key_pairs",
    "network_interfaces",
    "sagas",
    "security_groups",
    "snapshots",
    "subnets",
    "volumes",
    "vpcs",
)


def upgrade() -> None:
    """Make the tables."""
    for name in _TABLES:
        op.create_table(
            name,
            sa.Column("id", sa.String, primary_key=True),
            sa.Column("document", sa.LargeBinary, nullable=False),
        )


def downgrade() -> None:
    """Drop the tables."""
    for name in _TABLES:
        op.drop_table(name)
