"""Data for training and evaluation: one file a family."""
