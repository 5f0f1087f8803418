"""The first tables: one for each type of record."""

from typing import Final

from alembic import op

from bakehouse.store.migrations.record_table import create_record_table

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
        create_record_table(name)


def downgrade() -> None:
    """Drop the tables."""
    for name in _TABLES:
        op.drop_table(name)
