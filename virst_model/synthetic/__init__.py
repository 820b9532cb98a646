"""The world that is drawn."""
