"""Data of the ten tasks and the toy ones: three sources, one interface (`sources.load`), one encoding (`encode`)."""
