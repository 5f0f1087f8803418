"""A network fabric in memory."""
