"""Which environment variables name the DDS profile for camera images, config/fastdds.xml.

Imports neither ROS nor torch: launch files, the demo and tests set them before DDS starts.
"""

from collections.abc import Mapping
from pathlib import Path

PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
# They read the second name; later ones only the first, and warn about the second.
OLD_DISTROS = ("humble", "jazzy")


def profile_path() -> Path:
    """config/fastdds.xml, of the checkout or of the installed package.

    Raises:
        ament_index_python.packages.PackageNotFoundError: it is in neither.
    """
    checkout = Path(__file__).resolve().parents[1] / "config" / "fastdds.xml"
    if checkout.is_file():
        return checkout
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory("virst_ros")) / "config" / "fastdds.xml"


def profile_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What to add to `environment`, so that processes with it read the profile.

    Empty where one of the variables is set: a profile of the user's own wins.
    """
    if any(environment.get(name) for name in PROFILE_VARIABLES):
        return {}
    old = environment.get("ROS_DISTRO") in OLD_DISTROS
    path = str(profile_path())
    return dict.fromkeys(PROFILE_VARIABLES if old else PROFILE_VARIABLES[:1], path)
