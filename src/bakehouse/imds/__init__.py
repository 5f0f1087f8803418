"""The instance metadata service that a guest reads at 169.254.169.254."""
