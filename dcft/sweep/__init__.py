"""Many cells: plan, launch, retry, print."""
