"""Late policy and attempt limit, from what Gradescope says about a submission.

The fields of submission_metadata.json are those of
https://gradescope-autograders.readthedocs.io/en/latest/submission_metadata/; users[].assignment,
previous_submissions[].autograder_error and scores that are strings are not on every copy of that
page, but come with real files.

What is decided here:

* The due date is that of the student (users[].assignment.due_date, extensions included), else
  that of the assignment. A group has the latest date of its members.
* All times are those of the metadata, so that grading a submission again changes nothing.
* An earlier submission counts as an attempt unless Gradescope or our grader failed on it. Whether
  ours failed is known of the latest one only: Gradescope sends the results of no other.
* What cannot be read is not held against the student: no policy is applied, and the output says so.
"""

import math
import re
from datetime import datetime
from typing import Any

DAY = 24 * 3600
STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)")


class Unreadable(Exception):
    """A field of the metadata that is missing or makes no sense; the message is its name."""


def adjust(
    report: dict[str, Any],
    metadata: dict[str, Any],
    late: dict[str, Any] | None = None,
    attempts: Any = None,
) -> dict[str, Any]:
    """Apply the late policy and the attempt limit to a report.

    Args:
        report: what `autograder.report.build` gives; it stays as it is.
        metadata: the content of submission_metadata.json, None where there is none.
        late: PER_DAY, GRACE_MINUTES and LAST_DAY as in autograder/settings.py, None for no penalty.
        attempts: how many submissions count, None for all.

    Returns:
        a report whose `score` is the adjusted one and whose `output` says why.
    """
    check_policy(late, attempts)
    try:
        kept = kept_score(metadata, attempts)
        if kept is not None:
            return _spent(report, kept, attempts)
        if not late:
            return dict(report)
        return _penalised(report, days_late(metadata, late["GRACE_MINUTES"]), late)
    except Unreadable as error:
        return noted(
            report,
            f"submission_metadata.json has no usable {error}: the late policy and the attempt "
            "limit were not applied. Please tell your instructor.",
        )


def check_policy(late: dict[str, Any] | None, attempts: Any) -> None:
    """Raise ValueError unless LATE and ATTEMPTS of autograder/settings.py make sense."""
    if attempts is not None and (type(attempts) is not int or attempts < 1):
        raise ValueError(
            f"ATTEMPTS in autograder/settings.py is {attempts!r}: give 1, 2, ... or None."
        )
    if not late:
        return
    limits = {"PER_DAY": 1, "GRACE_MINUTES": math.inf, "LAST_DAY": math.inf}
    if set(late) != set(limits):
        raise ValueError(
            f"LATE in autograder/settings.py must have {', '.join(limits)}, no others."
        )
    for name, most in limits.items():
        value = late[name]
        if type(value) not in (int, float) or not 0 <= value <= most:
            raise ValueError(
                f"LATE['{name}'] in autograder/settings.py is {value!r}, out of range."
            )


def kept_score(metadata: dict[str, Any], attempts: Any) -> float | None:
    """The score that stays when all attempts are spent; None where this submission counts."""
    if attempts is None:
        return None
    created = _time(_field(metadata, "created_at"), "created_at")
    previous = _field(metadata, "previous_submissions")
    if not isinstance(previous, list):
        raise Unreadable("previous_submissions")
    counted = []
    for each in previous:
        name = "previous_submissions[].submission_time"
        time = _time(_field(each, "submission_time", name), name)
        if time < created and not _failed(each):
            counted.append((time, each.get("score")))
    if len(counted) < attempts:
        return None
    score = sorted(counted, key=lambda pair: pair[0])[attempts - 1][1]
    try:
        number = float(score)
    except (TypeError, ValueError):
        raise Unreadable("previous_submissions[].score") from None
    if not math.isfinite(number):
        raise Unreadable("previous_submissions[].score")
    return number


def days_late(metadata: dict[str, Any], grace_minutes: float = 0) -> int:
    """Days begun after the due date and the grace; 0 where there is no due date."""
    created = _time(_field(metadata, "created_at"), "created_at")
    due = due_date(metadata)
    if due is None:
        return 0
    seconds = (created - due).total_seconds() - 60 * grace_minutes
    return math.ceil(max(0, seconds) / DAY)


def due_date(metadata: dict[str, Any]) -> datetime | None:
    """The due date of a submission, the latest of its members; None where one has none."""
    common = _field(metadata, "assignment")
    users = metadata.get("users") or [{}]
    if not isinstance(users, list) or not all(isinstance(user, dict) for user in users):
        raise Unreadable("users")
    dates = []
    for user in users:
        own = user.get("assignment")
        holder = own if isinstance(own, dict) and "due_date" in own else common
        date = _field(holder, "due_date", "due_date")
        if date is None:
            return None
        dates.append(_time(date, "due_date"))
    return max(dates)


def noted(report: dict[str, Any], sentence: str) -> dict[str, Any]:
    """A copy of the report with one more sentence in its output."""
    output = report.get("output", "")
    return {**report, "output": f"{output}\n{sentence}" if output else sentence}


def _field(mapping, key, name=None):
    if not isinstance(mapping, dict) or key not in mapping:
        raise Unreadable(name or key)
    return mapping[key]


def _time(text, name):
    """A time with its offset; Python 3.10 reads neither "Z" nor any number of digits itself."""
    found = STAMP.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise Unreadable(name)
    day, clock, fraction, offset = found.groups()
    offset = "+00:00" if offset == "Z" else f"{offset[:3]}:{offset[-2:]}"
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{offset}")
    except ValueError:
        raise Unreadable(name) from None


def _failed(previous):
    results = previous.get("results")
    extra = results.get("extra_data") if isinstance(results, dict) else None
    ours = isinstance(extra, dict) and extra.get("grader_failed") is True
    return previous.get("autograder_error") is True or ours


def _spent(report, score, attempts):
    """The report of a submission that came too often: no tests, as they would be an attempt."""
    sentence = (
        f"{attempts} submission{'s' * (attempts != 1)} of this assignment count, and this is a "
        f"later one: the score of the last that counted, {score:g}, stays."
    )
    return noted({**_with_score(report, score), "tests": []}, sentence)


def _penalised(report, days, late):
    if not days:
        return dict(report)
    share = min(1, late["PER_DAY"] * days) if days <= late["LAST_DAY"] else 1
    score = report["score"]
    left = round(score * (1 - share), 4)
    begun = "1 day" if days == 1 else f"{days} days"
    return noted(
        _with_score(report, left),
        f"Late: {begun} begun after the due date and {late['GRACE_MINUTES']:g} minutes of grace. "
        f"{100 * share:g}% of {score:g} points are taken off; {left:g} remain.",
    )


def _with_score(report, score):
    board = [
        {**row, "value": score} if row.get("name") == "Points" else row
        for row in report.get("leaderboard", [])
    ]
    return {**report, "score": score, "leaderboard": board}
