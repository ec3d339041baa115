"""Stage `scale`: raw files in, arrays with a fixed split out."""
