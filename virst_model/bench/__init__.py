"""Where each millisecond goes: rates, latencies, parts and memory of a model on this machine."""
