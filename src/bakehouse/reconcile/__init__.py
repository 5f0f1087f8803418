"""Brings what runs into line with what is recorded."""
