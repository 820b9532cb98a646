"""A stream that is watched while it goes, without ROS."""
