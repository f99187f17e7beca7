"""What `locstream doctor` looks at: one small function a check, each giving what it found and what to do."""
