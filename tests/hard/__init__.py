"""Faults and hostile input: what a study must survive. `make test-hard`."""
