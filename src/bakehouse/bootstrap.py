"""Chooses the drivers and joins the parts into one running Bakehouse."""
