"""Files finished runs in OMERO, and fetches from there. Nothing here imports omero-py before it is needed."""
