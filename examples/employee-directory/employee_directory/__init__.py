"""An employee directory: a small web application on Python's standard library alone.

Modules, from the inside out: `profile` (what is known about a person), `photos` and `store` (what is on
disk), `metadata` (which instance this is), `forms`, `templating` and `web` (HTTP and HTML), `pages` (the
routes), `server` (sockets). Each imports only modules named before it.
"""
