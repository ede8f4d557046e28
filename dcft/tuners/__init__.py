"""PEFT tuners that PEFT itself lacks: DCFT, SoRA, bottleneck adapters. `import dcft` registers them with PEFT."""

# This import comes first: importing PEFT registers the tuners, which fails while one of them is being imported.
import peft  # noqa: F401
