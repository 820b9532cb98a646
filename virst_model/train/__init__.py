"""Training of the tiny preset. Stands beside `session`; nothing imports it."""
