"""What the course gives: read it, never edit it. Nothing here knows a student's module."""
