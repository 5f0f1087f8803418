"""The rules of EC2 resources, free of input and output."""
