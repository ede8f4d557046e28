"""Measurements of the suite's speed, one module each. `bench.command` lists them."""
