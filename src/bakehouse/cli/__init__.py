"""The commands a person types; each talks to a running Bakehouse."""
