"""What has weights, and the memory of a track (TDAU)."""
