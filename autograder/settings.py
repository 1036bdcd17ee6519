"""What an instructor sets: points, pass marks, visibility, and tests that students do not see.

Students get this file without the part between BEGIN HIDDEN and END HIDDEN
(`python -m grading package student`).
"""

# Points of a task, instead of those that its tests carry: {"1.1a": 10}. They are shared among
# the tests of the task as before. Tasks marked optional on the board count as a bonus.
POINTS: dict[str, float] = {}

# Pass marks of the tasks that measure samples, instead of those in tests/task1/test_marks.py
# and tests/task2/test_marks.py: {"1.4a": {"sliced W2": 0.09}, "2.4a": {"plain": 8.0}}.
MARKS: dict[str, dict[str, float]] = {}

# What the code of a submission may use: seconds of work in one test, in one that trains or draws
# images, and for all tests together; memory of a process; what it prints; what it writes.
LIMITS = {
    "SECONDS": 20,
    "TRAINED_SECONDS": 300,
    "TOTAL_SECONDS": 1800,
    "MEMORY_MB": 2000,
    "OUTPUT_MB": 4,
    "FILES_MB": 64,
}

# BEGIN HIDDEN
# Who sees a test in the report: visible, hidden, after_due_date or after_published. By name of a
# test, by task, or by part ("2.4"); "all" is for the others.
VISIBILITY = {"all": "visible"}

# A submission loses PER_DAY of its points for each day begun after the due date and GRACE_MINUTES,
# and has none after LAST_DAY days. ATTEMPTS submissions count (None: all); a later one keeps the
# score of the last that counted.
LATE = {"PER_DAY": 0.1, "GRACE_MINUTES": 15, "LAST_DAY": 7}
ATTEMPTS = None

# Whether the tests that train or draw images (1.4 and 2.4) are run: three to four minutes.
TRAINED = True

# Where the images of 2.4 come from: "code" draws them by the submission's code with the network of
# the course; "checkpoint" by the course's code with CHECKPOINT from the submission; "samples" takes
# the folder SAMPLES of the submission. Both paths are relative to the submission.
IMAGES = {"FROM": "code", "CHECKPOINT": "model.ckpt", "SAMPLES": "samples", "DATASET": "fashion"}

# Put tests of your own here, written like those in tests/task1 and tests/task2:
#
#     @graded("1.1b", points=2)
#     class VPAtTheEnds: ...
#
# with `from autograder.harness import expect, graded` above them. Their points come on top.
# END HIDDEN
