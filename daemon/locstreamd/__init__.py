"""The service: records every frame, has it fitted while the camera runs, publishes what was found."""
