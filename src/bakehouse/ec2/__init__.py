"""EC2 actions: each turns checked parameters into one call of the application."""
