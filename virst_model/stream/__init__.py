"""A camera's frames, one after the other."""
