"""Task 1 from end to end."""
