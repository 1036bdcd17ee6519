"""Late policy, attempt limit, and the check of results.json."""

import copy

import pytest

from autograder import harness, report
from grading import late
from grading.release import results_format

POLICY = {"PER_DAY": 0.1, "GRACE_MINUTES": 15, "LAST_DAY": 7}
DUE = "2026-03-01T23:00:00.000000-08:00"
REPORT = {
    "score": 80,
    "tests": [{"score": 80, "max_score": 100, "number": "1.1a"}],
    "leaderboard": [{"name": "Points", "value": 80, "order": "desc"}],
    "output": "Before.",
}


def metadata(created, **changes):
    return {
        "created_at": created,
        "assignment": {"due_date": DUE},
        "users": [{"email": "a@example.com", "id": 1, "name": "A"}],
        "previous_submissions": [],
    } | changes


def previous(day, score, **fields):
    return {"submission_time": f"2026-02-{day:02}T10:00:00.000000-08:00", "score": score} | fields


@pytest.mark.parametrize(
    ("created", "score"),
    [
        ("2026-02-20T10:00:00.000000-08:00", 80),
        ("2026-03-01T23:15:00.000000-08:00", 80),  # the last moment of the grace
        ("2026-03-01T23:15:00.000001-08:00", 72),
        ("2026-03-02T07:16:00Z", 72),  # the same night, in UTC
        ("2026-03-02T16:16:00.5+0900", 72),
        ("2026-03-02T23:15:00.000000-08:00", 72),  # one day to the second
        ("2026-03-02T23:15:01.000000-08:00", 64),
        ("2026-03-08T23:00:00.000000-08:00", 24),  # the seventh day
        ("2026-03-09T00:00:00.000000-08:00", 0),  # the eighth
    ],
)
def test_each_day_begun_takes_its_share(created, score):
    got = late.adjust(REPORT, metadata(created), POLICY)
    assert got["score"] == pytest.approx(score)
    assert got["leaderboard"][0]["value"] == got["score"]
    assert got["tests"] == REPORT["tests"]
    assert ("Late:" in got["output"]) == (score < 80)
    assert got["output"].startswith("Before.")


def test_the_report_given_stays_as_it_is():
    before = copy.deepcopy(REPORT)
    late.adjust(REPORT, metadata("2026-03-05T00:00:00Z"), POLICY)
    assert before == REPORT


def test_an_extension_comes_before_the_date_of_the_assignment():
    users = [{"id": 1, "assignment": {"due_date": "2026-03-04T23:00:00.000000-08:00"}}]
    got = late.adjust(REPORT, metadata("2026-03-04T12:00:00.0-08:00", users=users), POLICY)
    assert got["score"] == 80


def test_a_group_has_the_latest_date_of_its_members():
    users = [{"id": 1}, {"id": 2, "assignment": {"due_date": "2026-03-04T23:00:00-08:00"}}]
    assert late.days_late(metadata("2026-03-04T12:00:00-08:00", users=users)) == 0
    assert late.days_late(metadata("2026-03-05T12:00:00-08:00", users=users)) == 1


def test_no_due_date_no_penalty():
    got = late.adjust(
        REPORT, metadata("2026-04-01T00:00:00Z", assignment={"due_date": None}), POLICY
    )
    assert got == REPORT


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        {},
        metadata("yesterday"),
        metadata(5),
        metadata("2026-13-41T00:00:00Z"),
        metadata("2026-03-01T10:00:00"),  # no offset: which time would that be?
        metadata("2026-03-01T10:00:00Z", assignment={}),
        metadata("2026-03-01T10:00:00Z", assignment={"due_date": "soon"}),
        metadata("2026-03-01T10:00:00Z", users="me"),
        metadata("2026-03-01T10:00:00Z", previous_submissions=None),
        metadata("2026-03-01T10:00:00Z", previous_submissions=[1]),
        metadata("2026-03-01T10:00:00Z", previous_submissions=[previous(1, "many")]),
        metadata("2026-03-01T10:00:00Z", previous_submissions=[previous(1, None)]),
    ],
)
def test_what_cannot_be_read_is_said_and_costs_nothing(broken):
    got = late.adjust(REPORT, broken, POLICY, attempts=1)
    assert got["score"] == 80
    assert "tell your instructor" in got["output"]


def test_without_a_policy_metadata_does_not_matter():
    assert late.adjust(REPORT, None, None, None) == REPORT


def test_a_submission_too_many_keeps_the_score_of_the_last_that_counted():
    earlier = [previous(3, "57.5"), previous(1, 30.0), previous(9, 57.5)]  # in any order
    data = metadata("2026-02-10T00:00:00Z", previous_submissions=earlier)
    got = late.adjust(REPORT, data, POLICY, attempts=2)
    assert got["score"] == 57.5
    assert got["tests"] == []  # feedback is what an attempt buys
    assert "57.5, stays" in got["output"]
    assert late.adjust(REPORT, data, POLICY, attempts=4) == REPORT


def test_a_failure_of_the_grader_is_no_attempt():
    earlier = [
        previous(1, 0.0, autograder_error=True),
        previous(2, 0.0, results={"extra_data": {"grader_failed": True}}),
        previous(3, 40.0, autograder_error=False, results={}),
    ]
    data = metadata("2026-02-10T00:00:00Z", previous_submissions=earlier)
    assert late.kept_score(data, 2) is None
    assert late.kept_score(data, 1) == 40


def test_grading_an_old_submission_again_counts_what_came_before_it():
    data = metadata("2026-02-05T00:00:00Z", previous_submissions=[previous(9, 10.0)])
    assert late.kept_score(data, 1) is None


@pytest.mark.parametrize(
    ("policy", "attempts"),
    [
        (POLICY | {"PER_DAY": 10}, None),
        (POLICY | {"GRACE_MINUTES": "15"}, None),
        (POLICY | {"LAST_DAY": -1}, None),
        ({"PER_DAY": 0.1}, None),
        (POLICY | {"HOURS": 3}, None),
        (POLICY, 0),
        (POLICY, 2.5),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(policy, attempts):
    with pytest.raises(ValueError, match=r"autograder/settings\.py"):
        late.check_policy(policy, attempts)


def test_our_report_fits_the_format():
    graded = [(test, harness.Result("todo", "TODO")) for test in harness.graded_tests()]
    assert results_format.problems(report.build(graded, 3.2)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"points": 3}, "points: not a field"),
        ({"score": "3"}, "score:"),
        ({"score": float("nan")}, "score:"),
        ({"score": True}, "score:"),
        ({"visibility": "secret"}, "visibility:"),
        ({"output": ["a"]}, "output:"),
        ({"tests": {}}, "tests:"),
        ({"tests": [{"score": 1, "number": 1.1}]}, "tests[0].number"),
        ({"tests": [{"score": 1, "status": "done"}]}, "tests[0].status"),
        ({"tests": [{"score": 1, "output_format": "pdf"}]}, "tests[0].output_format"),
        ({"tests": [{"score": 1, "tags": "a"}]}, "tests[0].tags"),
        ({"tests": [{"score": 1, "seconds": 1}]}, "tests[0].seconds"),
        ({"leaderboard": [{"name": "Points"}]}, "leaderboard[0].value"),
        ({"leaderboard": [{"name": "P", "value": 1, "order": "up"}]}, "leaderboard[0].order"),
    ],
)
def test_a_wrong_field_is_found(change, problem):
    found = results_format.problems({"score": 1} | change)
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_some_score_must_be_there():
    assert results_format.problems({"output": "x"})
    assert results_format.problems({"tests": [{"score": 1}, {"name": "x"}]})
    assert results_format.problems({"tests": [{"score": 1}]}) == []
    assert results_format.problems([]) == ["the report is no JSON object"]
