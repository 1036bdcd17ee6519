"""The instructor's side: `python -m grading grade SUBMISSION`. See --help."""
import sys, json
from grading.grade import grade
from tests import board
r, g, s = grade(sys.argv[1], trained=False)
print(s, r["execution_time"], r.get("output"))
