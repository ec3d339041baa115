"""Tables in, figures out: drawn with matplotlib's object interface, always the same bytes."""
