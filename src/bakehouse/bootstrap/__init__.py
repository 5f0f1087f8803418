"""Putting things together for the command line, one module for each purpose: importing this imports nothing."""
