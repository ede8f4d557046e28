"""Mirrors of a run: W&B, trackio, the W&B dashboard."""
