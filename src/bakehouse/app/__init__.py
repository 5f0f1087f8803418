"""What Bakehouse does for a caller: use cases over the domain and the ports."""
