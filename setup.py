"""Package metadata. It lives here and not in pyproject.toml for the old setuptools of robots.

The floors are the oldest versions that work (`make floors`); requirements/*.txt pin what CI takes.
colcon installs this package without looking at them: there package.xml names what is needed.
"""

from glob import glob

from setuptools import find_packages, setup

NAME = "virst_ros"

# sam2 is missing because it asks for torchvision; `virst_model.load` says how it is installed.
MODEL = [
    "torch>=2.5",
    "transformers>=4.48",
    "tokenizers>=0.21",
    "safetensors>=0.4.3",
    "numpy>=1.21.5",
    "opencv-python-headless>=4.5.4.60",
    "pillow>=9.0.1",
    "tqdm>=4.60",
    "pyyaml>=6.0",
    # What sam2 imports.
    "hydra-core>=1.3.2",
    "iopath>=0.1.10",
]
# Videos that browsers and phones play; without it OpenCV writes them, slowly.
VIDEO = ["av>=13.0"]
# What runs for every frame by ONNX Runtime on a CPU; onnx only where graphs are made.
ONNX = ["onnx>=1.16", "onnxruntime>=1.18"]
# Bags of ROS 2, read without ROS.
BAGS = ["rosbags>=0.11.0"]
# The page of `virst live` and of virst-viewer.
VIEWER = ["aiohttp>=3.8.1"]
# Training, data sets and evaluation.
TRAIN = [
    "accelerate>=1.0",
    "omegaconf>=2.2.2",
    "peft>=0.13",
    "pycocotools>=2.0.7",
    "tensorboard>=2.10.1",
]
# The node on a machine without ROS 2; virst_interfaces has to be built as well (`make setup`).
DEMO = [
    *VIDEO,
    *BAGS,
    *VIEWER,
    "rosbags-image>=0.10.2",
    "ros-kilted-rclpy>=9.1.2",
    "ros-kilted-rmw-fastrtps-cpp>=9.3.3",
    "ros-kilted-action-msgs>=2.3.0",
    "ros-kilted-geometry-msgs>=5.5.1",
    "ros-kilted-sensor-msgs>=5.5.1",
    "ros-kilted-std-srvs>=5.5.1",
    "ros-kilted-diagnostic-msgs>=5.5.1",
]
DEV = [
    *ONNX,
    "pytest>=9",
    "pytest-xdist>=3.8",
    "hypothesis>=6.150",
    "py_trees>=2.2",
    "selenium>=4.11",
    "ruff>=0.17",
    "scikit-image>=0.24",
    "setuptools>=77",
    "wheel>=0.45",
]

setup(
    name=NAME,
    version="0.1.0",
    description="Referring video segmentation (VIRST) as a ROS 2 node: a sentence in, masks out.",
    license="Apache-2.0",
    maintainer="virst_ros maintainers",
    maintainer_email="maintainers@virst-ros.invalid",
    packages=find_packages(include=["virst_ros*", "virst_model*", "virst_viewer*"]),
    package_data={
        "virst_model": ["weights/*/*", "train/recipes/*.yaml", "sources/messages/*.msg"],
        "virst_ros": ["demo/photographs/*"],
        "virst_viewer": ["page/*"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{NAME}/config", sorted(glob("config/*.*"))),
        (f"share/{NAME}/rviz", sorted(glob("rviz/*"))),
        (f"share/{NAME}/foxglove", sorted(glob("foxglove/*"))),
    ],
    python_requires=">=3.10",
    install_requires=MODEL,
    extras_require={
        "train": TRAIN,
        "video": VIDEO,
        "onnx": ONNX,
        "bags": BAGS,
        "viewer": VIEWER,
        "demo": DEMO,
        "dev": DEV,
        "deepspeed": [*TRAIN, "deepspeed>=0.17"],
    },
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "virst = virst_model.__main__:main",
            "virst-segment = virst_ros.segment:main",
            "virst-camera = virst_ros.camera:main",
            "virst-query = virst_ros.query:main",
            "virst-viewer = virst_ros.viewer:main",
            "virst-demo = virst_ros.demo.__main__:main",
        ],
        # Behind the front door, from outside of virst_model.
        "virst.verbs": [
            "camera = virst_ros.verbs:CAMERA",
            "query = virst_ros.verbs:QUERY",
            "viewer = virst_ros.verbs:VIEWER",
            "live = virst_viewer.verbs:LIVE",
        ],
    },
)
