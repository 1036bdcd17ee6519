"""The page of a class: who has how many points, and which tasks and mistakes are frequent."""

import collections
import html
import os
import statistics
import urllib.parse
from typing import Any

from autograder import page
from autograder.tasks import all_sections, all_tasks

STYLE = """
body { max-width: 64rem; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.wide { overflow-x: auto; }
.track { display: flex; height: .8rem; min-width: 8rem; background: #e2e2e2; }
.track .full { background: #0072b2; print-color-adjust: exact; }
.track .bad { background: #e69f00; print-color-adjust: exact; }
.columns { display: flex; align-items: flex-end; height: 9rem; gap: 2px; margin: 1rem 0 0; }
.columns div { flex: 1; background: #0072b2; text-align: center; font-size: .8rem;
  print-color-adjust: exact; }
.columns span { position: relative; top: -1.3rem; }
.scale { display: flex; justify-content: space-between; font-size: .8rem; color: #444; }
small { color: #444; }
"""


def render(
    reports: dict[str, dict], pages: bool = False, skipped: dict[str, str] | None = None
) -> str:
    """The page as HTML.

    Args:
        reports: dict from submission to its report (see `autograder.report.build`).
        pages: whether each submission has a page of its own beside this one.
        skipped: {name: why it is no submission} of what else the folder holds.
    """
    parts = [summary(reports), not_graded(skipped or {}), histogram(reports), tasks_table(reports)]
    body = "\n".join([*parts, class_table(reports, pages)])
    body = body.encode("utf-8", "replace").decode()  # a name may be no text
    values = {"policy": html.escape(page.POLICY), "style": page.STYLE + STYLE}
    return page.PAGE.format(title="Grades of the class", body=body, **values)


def full_points(reports: dict[str, dict]) -> float:
    """The points that the required tasks give."""
    return max((built["extra_data"].get("full", 0) for built in reports.values()), default=0)


def summary(reports: dict[str, dict]) -> str:
    scores = [built["score"] for built in reports.values()]
    failed = [name for name, built in reports.items() if built["extra_data"].get("failed")]
    text = (
        f"{len(scores)} submissions. Median {statistics.median(scores):g}, mean "
        f"{statistics.mean(scores):.1f}, of {full_points(reports):g} points (optional tasks come "
        f"on top)."
    )
    if failed:
        text += f" The grader failed on {page.escape(', '.join(failed))}: look at these yourself."
    return f"<p>{text}</p>"


def not_graded(skipped: dict[str, str]) -> str:
    """What the folder of the class holds besides submissions."""
    named = "; ".join(f"{name} ({why})" for name, why in skipped.items())
    return f"<p>Not graded: {page.escape(named)}.</p>" if named else ""


def histogram(reports: dict[str, dict], bins: int = 10) -> str:
    """How many submissions have how many points, in tenths of the full points."""
    full = full_points(reports) or 1
    counts = [0] * bins
    for built in reports.values():
        counts[min(bins - 1, int(bins * built["score"] / full))] += 1
    bars = "".join(
        f'<div style="height:{90 * count / max(counts):.1f}%"><span>{count or ""}</span></div>'
        for count in counts
    )
    marks = "".join(f"<span>{full * k / bins:.0f}</span>" for k in range(bins + 1))
    label = f"Submissions by points: {', '.join(map(str, counts))} from the lowest tenth up"
    return (
        f"<h2>How many have how many points</h2>\n"
        f'<div class="columns" role="img" aria-label="{label}">{bars}</div>\n'
        f'<div class="scale">{marks}</div><p><small>points; the last column holds all above'
        f"</small></p>"
    )


def tasks_table(reports: dict[str, dict]) -> str:
    """For every task the shares done and wrong, and its most frequent mistakes."""
    rows = ["<tr><th>Task</th><th>done, wrong, open</th><th>most frequent mistakes</th></tr>"]
    for name, task in all_tasks().items():
        states: collections.Counter[str] = collections.Counter()
        said: collections.Counter[str] = collections.Counter()
        for built in reports.values():
            tests = [test for test in built["tests"] if test["number"] == name]
            if tests:
                states[page.state(tests)] += 1
            said.update({mistake(t) for t in tests if page.state_of(t) == "wrong"})
        if states:
            rows.append(task_row(name, task, states, said))
    head = "<h2>Which tasks are hard, and why</h2>"
    return f'{head}\n<div class="wide"><table>{"".join(rows)}</table></div>'


def mistake(test: dict[str, Any]) -> str:
    """What a wrong test says, in one line: its message without what it tests."""
    _, _, message = test["output"].partition("\n")
    line = " ".join((message or test["output"]).split())
    return line if len(line) <= 160 else line[:160] + " ..."


def task_row(
    name: str, task: Any, states: collections.Counter[str], said: collections.Counter[str]
) -> str:
    total = sum(states.values())
    done, wrong, still_open = states["done"], states["wrong"], states["todo"]
    parts = f'<div class="full" style="width:{100 * done / total:.1f}%"></div>'
    parts += f'<div class="bad" style="width:{100 * wrong / total:.1f}%"></div>'
    bar = f'<div class="track">{parts}</div><small>{done}, {wrong}, {still_open}</small>'
    mistakes = "<br>".join(f"{n} × {page.escape(text)}" for text, n in said.most_common(3))
    title = f"<strong>{name}</strong> {page.escape(task.title)}"
    return f"<tr><td>{title}</td><td>{bar}</td><td><small>{mistakes}</small></td></tr>"


def class_table(reports: dict[str, dict], pages: bool) -> str:
    """A line for each submission: points in all and by part, and what was said of it."""
    sections = all_sections()
    head = "".join(f"<th>{section}</th>" for section in sections)
    rows = [f"<tr><th>submission</th><th>points</th>{head}<th>note</th></tr>"]
    for name, built in reports.items():
        text, address = page.escape(name), urllib.parse.quote(os.fsencode(page_of(name)))
        cells = [f'<td><a href="{address}">{text}</a></td>' if pages else f"<td>{text}</td>"]
        cells.append(number(built["score"]))
        for section in sections:
            own = [test for test in built["tests"] if test["number"].startswith(section)]
            cells.append(number(page.total(own, "score")) if own else number("–"))
        cells.append(f"<td><small>{page.escape(built.get('output', ''))}</small></td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f'<h2>Everybody</h2>\n<div class="wide"><table>{"".join(rows)}</table></div>'


def page_of(name: str) -> str:
    """Where the page of a submission lies, relative to this one."""
    return f"pages/{name}.html"


def number(value: float | str) -> str:
    text = f"{value:g}" if isinstance(value, (int, float)) else value
    return f'<td class="number">{text}</td>'
