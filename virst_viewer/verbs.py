"""The verb of `virst` that this package brings: setup.py names it in the group `virst.verbs`."""

from virst_model.verb import Verb

NEEDS = "aiohttp (pip install 'virst_ros[viewer]')"

LIVE = Verb("virst_viewer.live", "a page that shows a camera or a video with masks", needs=NEEDS)
