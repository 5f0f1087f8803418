"""Bakehouse: the EC2 API, answered with virtual machines on your own computer."""
