"""Camera images between two real processes under the DDS profile that the project ships."""

from __future__ import annotations

import json
import sys
import time

FRAMES = 60
RATE_HZ = 30.0
HEIGHT, WIDTH = 720, 1280
# Of 60; measured: all of them with the profile, none with Fast DDS's defaults.
ENOUGH = 57


def test_best_effort_720p_images_arrive(start_process):
    reader = start_process(__file__, "read")
    writer = start_process(__file__, "write")

    assert writer.popen.wait(60) == 0, writer.output
    assert reader.popen.wait(60) == 0, reader.output

    report = json.loads(reader.output.strip().splitlines()[-1])
    assert report["received"] >= ENOUGH, report
    assert report["damaged"] == 0, report


def write() -> None:
    """Publishes FRAMES images at RATE_HZ once a reader is there."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    with rclpy.init():
        node = rclpy.create_node("writer")
        publisher = node.create_publisher(Image, "image", qos_profile_sensor_data)
        deadline = time.monotonic() + 30.0
        while not publisher.get_subscription_count():
            if time.monotonic() > deadline:
                sys.exit("no reader in 30 s")
            time.sleep(0.02)
        time.sleep(0.5)  # the reader's side of the match
        start = time.monotonic()
        for index in range(FRAMES):
            message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
            message.header.frame_id = str(index)
            message.data.frombytes(bytes([index]) * (3 * HEIGHT * WIDTH))
            publisher.publish(message)
            time.sleep(max(0.0, start + (index + 1) / RATE_HZ - time.monotonic()))
        time.sleep(1.0)  # the last frames are read from this process's shared memory


def read() -> None:
    """Counts the images until all are there or none came for three seconds; prints JSON."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    arrived: list[int] = []
    damaged: list[int] = []

    def on_image(message: Image) -> None:
        index = int(message.header.frame_id)
        arrived.append(index)
        data = message.data
        if len(data) != 3 * HEIGHT * WIDTH or {data[0], data[-1]} != {index}:
            damaged.append(index)

    with rclpy.init():
        node = rclpy.create_node("reader")
        node.create_subscription(Image, "image", on_image, qos_profile_sensor_data)
        seen, deadline = 0, time.monotonic() + 40.0
        while len(arrived) < FRAMES and time.monotonic() < deadline:
            rclpy.spin_once(node, timeout_sec=0.1)
            if len(arrived) > seen:
                seen, deadline = len(arrived), time.monotonic() + 3.0
        sys.stdout.write(json.dumps({"received": len(set(arrived)), "damaged": len(damaged)}))


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]]()
