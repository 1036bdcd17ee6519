"""A step of a GitHub workflow: `python -m autograder 1.1a` runs the graded tests of one task."""

from autograder.classroom import main

if __name__ == "__main__":
    main()
