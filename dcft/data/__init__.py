"""Data of all tasks: three sources behind `sources.load_data`, one encoding (`encode.prepare`)."""
