"""Machines that are only remembered, for tests and for `--simulate`."""
