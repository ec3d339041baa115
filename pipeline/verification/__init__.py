"""Whether the committed dvc.lock follows from the committed code and data; what command `verify` rests on."""
