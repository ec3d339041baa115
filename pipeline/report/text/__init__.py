"""Numbers in, words out: every sentence of the report."""
