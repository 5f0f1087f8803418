"""Networks for machines: namespaces on a Linux host, or an account of them in memory."""
