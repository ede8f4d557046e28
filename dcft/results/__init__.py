"""What lies in results/: records, sweeps, protocols, statistics."""
