"""All file formats and all writing; nothing else in the pipeline opens a data file.

One module per format, so that a stage depends on the formats that it uses and on no other. Everything is
written to a temporary name beside its place and then renamed: a reader sees the whole file or none.
"""
