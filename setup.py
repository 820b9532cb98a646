"""Package metadata. It lives here and not in pyproject.toml for the old setuptools of robots."""

from glob import glob

from setuptools import find_packages, setup

NAME = "virst_ros"

setup(
    name=NAME,
    version="0.1.0",
    description="Referring video segmentation (VIRST) as a ROS 2 node: a sentence in, masks out.",
    license="Apache-2.0",
    maintainer="virst_ros maintainers",
    maintainer_email="maintainers@virst-ros.invalid",
    packages=find_packages(include=["virst_ros", "virst_ros.*", "virst_model", "virst_model.*"]),
    package_data={"virst_model": ["weights/*/*", "recipes/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{NAME}/config", sorted(glob("config/*.*"))),
        (f"share/{NAME}/config/train", sorted(glob("config/train/*"))),
    ],
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"deepspeed": ["deepspeed>=0.17"]},
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "virst-segment = virst_ros.node:main",
            "virst-camera = virst_ros.camera:main",
            "virst-query = virst_ros.query:main",
            "virst-demo = virst_ros.demo:main",
        ],
    },
)
