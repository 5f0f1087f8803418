"""The HTTP front: Starlette routes, listeners and shutdown."""
