"""What Qt draws and what the mouse does; needs the extra ``viewer``."""
