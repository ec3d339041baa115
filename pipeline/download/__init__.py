"""Stage `download`: the raw files of the data set, fetched or made, and checked."""
