"""Tests against real servers: `make test-services`. They skip, with the reason, where a server is missing."""
