"""Folders of weights and the released files."""
