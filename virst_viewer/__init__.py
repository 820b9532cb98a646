"""A page to look at a stream: its pictures with masks, its queries, questions about it.

It knows neither a model nor ROS: a source is handed in, as `virst_model.watching` has it.
"""
