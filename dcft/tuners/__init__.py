"""PEFT tuners that PEFT itself lacks: DCFT, SoRA, bottleneck adapters. `import dcft` registers them with PEFT."""
