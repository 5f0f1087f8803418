"""The record of every resource, in SQLite."""
