"""Tables for account settings, and what images and volumes need beside their own records."""

from typing import Final

from alembic import op

from bakehouse.store.migrations.record_table import create_record_table

revision = "0002"
down_revision = "0001"

_TABLES: Final = (
    "account_settings",
    "deregistered_images",
    "dhcp_options",
    "egress_only_internet_gateways",
    "elastic_addresses",
    "export_image_tasks",
    "export_instance_tasks",
    "iam_instance_profiles",
    "iam_policies",
    "iam_roles",
    "fleets",
    "image_usage_reports",
    "import_image_tasks",
    "import_snapshot_tasks",
    "internet_gateways",
    "kms_keys",
    "nat_gateways",
    "network_acls",
    "placement_groups",
    "prefix_lists",
    "launch_template_versions",
    "launch_templates",
    "public_parameters",
    "recycle_bin",
    "replace_root_volume_tasks",
    "retention_rules",
    "route_tables",
    "spot_requests",
    "store_image_tasks",
    "subnet_cidr_reservations",
)


def upgrade() -> None:
    """Make the tables."""
    for name in _TABLES:
        create_record_table(name)


def downgrade() -> None:
    """Drop the tables."""
    for name in _TABLES:
        op.drop_table(name)
