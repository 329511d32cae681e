"""Copies of what the topics say, in stores that people and analysts ask. Sinks only copy."""
