"""The outside world: each driver fulfils one port."""
