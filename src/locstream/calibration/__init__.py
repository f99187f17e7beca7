"""What is known of the camera: models only, no procedures."""

from locstream.calibration.camera import CameraCalibration

__all__ = ["CameraCalibration"]
