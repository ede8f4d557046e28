"""PEFT tuners that PEFT itself lacks: DCFT, SoRA, bottleneck adapters. `import dcft` registers them with PEFT."""

# First of all: PEFT's import registers the tuners, and none of them may be in the middle of its own import then.
import peft  # noqa: F401
