"""Measurements of the suite's speed, one module each; `scripts/bench` names them.

A measurement has `add_arguments(parser)` and `main(arguments)`. It imports torch and transformers inside of its
functions, so that a command line is read and refused at once.
"""
