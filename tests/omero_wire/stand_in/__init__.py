"""A stand-in for an OMERO server, for tests: omero-py's generated classes and Ice runtime, nothing of its server."""
