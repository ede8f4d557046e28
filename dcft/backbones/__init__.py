"""Pretrained models: loading, attention, compilation."""
