"""The `bakehouse` command."""
