"""A whole video or image."""
