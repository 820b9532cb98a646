"""How messages travel: quality of service of every topic."""

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# The node's camera images: an old one is of no use.
NEWEST_IMAGE = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# What the node publishes. Reliable, volatile: what a reliable RViz matches.
RESULT = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
# For listeners that count results.
EVERY_RESULT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
# Results of an action's goals: all that can wait may end at the same moment.
END_OF_GOALS = QoSProfile(depth=32, reliability=ReliabilityPolicy.RELIABLE)
# What a program tells the node: none of a few in a row gets lost.
COMMANDS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
# The truth of a scene must not get lost, whatever happens to the images.
TRUTH = QoSProfile(depth=30, reliability=ReliabilityPolicy.RELIABLE)
# As rosbag2 publishes it, but none gets lost.
CLOCK = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
# The newest message, also for those who come later.
LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
