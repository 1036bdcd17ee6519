"""Check a results.json against the fields that Gradescope publishes.

https://gradescope-autograders.readthedocs.io/en/latest/specs/ (its source, in an earlier version:
docs/specs.md in github.com/gradescope/autograder_samples). A field that is not on that page is a
problem, too: Gradescope would drop it without a word.
"""

import math
from typing import Any

VISIBILITY = ("visible", "hidden", "after_due_date", "after_published")
FORMATS = ("text", "html", "simple_format", "md", "ansi")


def _is_number(value):
    return type(value) in (int, float) and math.isfinite(value)


def _is_text(value):
    return isinstance(value, str)


def _is_tags(value):
    return isinstance(value, list) and all(map(_is_text, value))


def _is_value(value):
    return _is_number(value) or _is_text(value)


def _is_object(value):
    return isinstance(value, dict)


def _is_objects(value):
    return isinstance(value, list) and all(map(_is_object, value))


TOP = {
    "score": _is_number,
    "execution_time": _is_number,
    "output": _is_text,
    "output_format": FORMATS,
    "test_output_format": FORMATS,
    "test_name_format": FORMATS,
    "visibility": VISIBILITY,
    "stdout_visibility": VISIBILITY,
    "extra_data": _is_object,
    "tests": _is_objects,
    "leaderboard": _is_objects,
}
TEST = {
    "score": _is_number,
    "max_score": _is_number,
    "status": ("passed", "failed"),
    "name": _is_text,
    "name_format": FORMATS,
    "number": _is_text,
    "output": _is_text,
    "output_format": FORMATS,
    "tags": _is_tags,
    "visibility": VISIBILITY,
    "extra_data": _is_object,
}
LEADERBOARD = {"name": _is_text, "value": _is_value, "order": ("asc", "desc")}


def problems(report: Any) -> list[str]:
    """What is wrong with a report as Gradescope's results.json; an empty list if nothing is.

    Args:
        report: the plain data of the file, as `json.load` gives it.
    """
    if not isinstance(report, dict):
        return ["the report is no JSON object"]
    found = _problems(report, TOP, "")
    tests = report.get("tests", [])
    if not found:
        for number, test in enumerate(tests):
            found += _problems(test, TEST, f"tests[{number}].")
        for number, row in enumerate(report.get("leaderboard", [])):
            found += _problems(row, LEADERBOARD, f"leaderboard[{number}].")
            found += [
                f"leaderboard[{number}].{k}: missing" for k in ("name", "value") if k not in row
            ]
        if "score" not in report and not (tests and all("score" in test for test in tests)):
            found += ["score: neither the report nor every test has one"]
    return found


def _problems(mapping, fields, where):
    """Unknown fields and wrong values of one object."""
    found = []
    for key, value in mapping.items():
        rule = fields.get(key)
        if rule is None:
            found.append(f"{where}{key}: not a field of the format")
        elif isinstance(rule, tuple):
            if value not in rule:
                found.append(f"{where}{key}: {value!r} is none of {', '.join(rule)}")
        elif not rule(value):
            found.append(f"{where}{key}: {str(value)[:60]!r} has the wrong type or is not finite")
    return found
