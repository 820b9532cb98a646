"""The world that is drawn: scenes and stories, side by side.

Both are a `World` (world.py): pictures with the ids of what is seen, and sentences with whom they
mean. The lowest files serve both:

- camera.py: the backdrop, and all that a camera does to a picture
- shapes.py, grammar.py, sentence.py, splits.py: looks, words, truth, and lots

Scenes: scenes.py draws them, scene_objects.py moves and paints what is in them, scene_sentences.py
knows what a phrase means.

Stories: stories.py draws them of actors.py, behaviour.py (what they do, alone and together) and
trajectory.py (where that puts them); sprites.py paints them; timeline.py is what was to be seen.
names.py and predicates.py say whom words fit, sentences_*.py and questions.py speak of it.
"""
