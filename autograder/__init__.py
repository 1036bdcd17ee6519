"""The autograder: how a graded test works and what a student sees of it."""
