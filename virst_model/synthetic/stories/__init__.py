"""Stories: synthetic videos of a few shapes that act, with sentences whose truth is known.

A story is richer than a scene (`virst_model.synthetic.scenes`): things happen in it at known
times, so that sentences can speak of motion, order and causes, and of what changes as it goes on.
"""
