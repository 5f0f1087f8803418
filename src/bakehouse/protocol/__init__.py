"""The EC2 query protocol: signatures, parameters in, XML out."""
