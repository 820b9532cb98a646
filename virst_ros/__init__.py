"""VIRST as a ROS 2 node: a camera and a sentence in, masks out. The only package with rclpy."""
