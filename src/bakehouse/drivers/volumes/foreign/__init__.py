"""Disks of other programs: what their headers say, and whether they stand alone. Reads little, trusts nothing."""
