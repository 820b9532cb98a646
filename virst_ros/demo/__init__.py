"""The main job in one command, `python -m virst_ros.demo`, and its measurements."""
