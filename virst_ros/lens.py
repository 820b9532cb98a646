"""CameraInfo of pictures of any size, where the camera's lens is known."""

from __future__ import annotations

from rclpy.logging import get_logger
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from virst_ros.calibration import Calibration, of_field_of_view, read_calibration
from virst_ros.parameters import ParameterError


class Lens:
    """What is known of a camera's lens: a calibration, a field of view, or nothing."""

    def __init__(self, calibration: str, hfov_deg: float) -> None:
        """`calibration`: path or URL of a file, or empty; `hfov_deg`: from left to right, or 0.

        Raises:
            FileError: the file cannot be used.
            ParameterError: both are given.
        """
        if calibration and hfov_deg:
            raise ParameterError(
                f"camera_info_url {calibration} and hfov_deg {hfov_deg:g}: give one of them"
            )
        self._calibration = read_calibration(calibration) if calibration else None
        self._hfov_deg = hfov_deg
        self._present: Calibration | None = None  # of the newest pictures' size

    @property
    def is_known(self) -> bool:
        """Whether there is something to say."""
        return self._calibration is not None or self._hfov_deg > 0

    def info(self, width: int, height: int, header: Header) -> CameraInfo:
        """Of pictures of that size; `header` is passed on as it is."""
        if self._present is None or (width, height) != (self._present.width, self._present.height):
            self._present = self._of_size(width, height)
        present = self._present
        return CameraInfo(
            header=header,
            width=present.width,
            height=present.height,
            distortion_model=present.model,
            d=present.d,
            k=present.k,
            r=present.r,
            p=present.p,
        )

    def _of_size(self, width: int, height: int) -> Calibration:
        known = self._calibration
        if known is None:
            return of_field_of_view(width, height, self._hfov_deg)
        if not known.has_shape_of(width, height):
            get_logger("camera").warning(
                f"the calibration is of {known.width}x{known.height} pixels, the pictures have "
                f"{width}x{height}, another shape: is it this camera's?"
            )
        return known.scaled(width, height)
