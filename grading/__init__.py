"""The instructor's side of the course."""
