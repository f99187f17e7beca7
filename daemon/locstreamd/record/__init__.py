"""The record lane: never drops a frame silently, stops loudly."""
