"""The page of a run: points, a board, and for every task what is wrong, with pictures.

One file without scripts that asks for nothing from outside. All text may come from a submission and
is escaped.
"""

import base64
import html
import re
from pathlib import Path
from typing import Any

from autograder import report as reports
from autograder.tasks import all_sections, all_tasks

WORDS = {"done": ("done", "✓"), "wrong": ("WRONG", "✗"), "todo": ("TODO", "–")}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; padding: 1rem 1rem 3rem; max-width: 50rem; color: #222; background: #fff;
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 1rem 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
p { margin: 0 0 .6rem; }
a { color: #00588a; }
.bar { height: .9rem; border: 1px solid #767676; border-radius: .5rem; overflow: hidden; }
.bar div { height: 100%; background: #0072b2; print-color-adjust: exact; }
.next { margin: 1rem 0; padding: .7rem .9rem; border-left: .3rem solid #0072b2;
  background: #f1f6fa; }
.next p:last-child { margin: 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .15rem .4rem; text-align: left; border-bottom: 1px solid #e2e2e2;
  vertical-align: top; }
th[colspan] { padding-top: .7rem; }
.points, .state { text-align: right; white-space: nowrap; }
.state { font-weight: 600; }
.done { color: #00674b; } .wrong { color: #b33c00; } .todo { color: #5a5a5a; }
details { margin: .4rem 0; border: 1px solid #ddd; border-radius: .3rem; }
summary { padding: .45rem .7rem; cursor: pointer; }
summary::after { content: ""; display: block; clear: both; }
summary .state { float: right; margin-left: .6rem; }
.inside { padding: .2rem .7rem .7rem; }
.what { margin: .5rem 0 .2rem; }
pre { margin: 0 0 .7rem; padding: .5rem .7rem; background: #fdf2ec;
  border-left: .2rem solid #b33c00; font: .9rem/1.45 ui-monospace, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; }
pre.todo { background: #f4f4f4; border-color: #767676; }
figure { margin: .8rem 0 0; break-inside: avoid; }
figcaption { font-size: .9rem; color: #444; }
img { display: block; max-width: 100%; height: auto; margin: .2rem auto; }
@media (max-width: 32rem) { table { font-size: .8rem; } th, td { padding: .15rem .2rem; } }
@media print { body { max-width: none; padding: 0; } .next, pre { print-color-adjust: exact; } }
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def write(
    path: Path,
    report: dict[str, Any],
    pictures: dict[str, list[tuple]],
    title: str,
    hidden: bool = False,
) -> None:
    """Write the page to a file, whole or not at all; see `render`."""
    reports.write(path, render(report, pictures, title, hidden))


def render(
    report: dict[str, Any], pictures: dict[str, list[tuple]], title: str, hidden: bool = False
) -> str:
    """The page as HTML.

    Args:
        report: as `autograder.report.build` makes it.
        pictures: as `autograder.pictures.draw_all`.
        title: a plain text.
        hidden: whether tests that students do not see are on the page.
    """
    shown = [test for test in report["tests"] if hidden or test["visibility"] == "visible"]
    secret = {class_of(test) for test in report["tests"] if test not in shown}
    rows: dict[str, list[dict[str, Any]]] = {}
    for test in shown:
        rows.setdefault(test["number"], []).append(test)
    sections, tasks = all_sections(), all_tasks()
    body = [points(rows, tasks), notes(report), next_task(rows, tasks)]
    body += [table(rows, sections, tasks)]
    for section, name in sections.items():
        here = {task: rows[task] for task in tasks if task in rows and task.startswith(section)}
        if here:
            body.append(f"<h2>Task {section} {escape(name)}</h2>")
        for task, tests in here.items():
            own = [p for p in pictures.get(task, []) if p[0].partition(":")[0] not in secret]
            body.append(details(task, tasks[task], tests, own))
    values = {"policy": html.escape(POLICY), "title": escape(title), "style": STYLE}
    return PAGE.format(body="\n".join(body), **values)


def escape(text: object) -> str:
    """Text fit for HTML, without control characters."""
    return html.escape(re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "?", str(text)))


def class_of(test: dict[str, Any]) -> str:
    """The name of the class of a test in a report."""
    return test["name"].rpartition(": ")[2]


def state_of(test: dict[str, Any]) -> str:
    """done, wrong or todo, for a test of a report."""
    if test["status"] == "passed":
        return "done"
    return "todo" if test["output"].startswith("TODO ") else "wrong"


def state(tests: list[dict[str, Any]]) -> str:
    """done, wrong or todo, for the tests of a task."""
    states = {state_of(test) for test in tests}
    return "wrong" if "wrong" in states else "todo" if "todo" in states else "done"


def share(tests: list[dict[str, Any]]) -> str:
    """Points of some tests, and how many they could be, as "3/5"."""
    return f"{total(tests, 'score'):g}/{total(tests, 'max_score'):g}"


def total(tests: list[dict[str, Any]], field: str) -> float:
    """The sum of a field over tests, without the dust of floating point."""
    return round(sum(test[field] for test in tests), 6)


def word(tests: list[dict[str, Any]]) -> str:
    """The state of some tests as a coloured word with a sign."""
    name, sign = WORDS[state(tests)]
    return f'<span class="state {state(tests)}">{sign} {name}</span>'


def points(rows: dict[str, list[dict[str, Any]]], tasks: dict[str, Any]) -> str:
    """The sum of the points and a bar; optional points are separate."""
    parts: dict[bool, list] = {True: [], False: []}
    for task, tests in rows.items():
        parts[task in tasks and tasks[task].optional] += tests
    got, full = (total(parts[False], field) for field in ("score", "max_score"))
    bonus = total(parts[True], "score")
    text = f"<strong>{got:g} of {full:g} points</strong>"
    if parts[True]:
        text += f", and {bonus:g} of {total(parts[True], 'max_score'):g} optional ones"
    width = 100 * min(1, max(0, got / full)) if full else 0
    label = f'role="img" aria-label="{got:g} of {full:g} points"'
    return f'<p>{text}.</p>\n<div class="bar" {label}><div style="width:{width:.1f}%"></div></div>'


def notes(report: dict[str, Any]) -> str:
    """What the grader says of the whole submission, such as a file that is missing."""
    return f"<pre>{escape(report['output'])}</pre>" if report.get("output") else ""


def next_task(rows: dict[str, list[dict[str, Any]]], tasks: dict[str, Any]) -> str:
    """What comes next, with the first hint."""
    unfinished = [name for name in tasks if name in rows and state(rows[name]) != "done"]
    if not unfinished:
        return '<div class="next"><p>Everything here is done.</p></div>'
    name = min(unfinished, key=lambda name: tasks[name].optional)
    task = tasks[name]
    head = f"Next: {name} {task.title}, in {task.file} (about {task.minutes} minutes)."
    return (
        f'<div class="next"><p><a href="#task-{name}">{escape(head)}</a></p>\n'
        f"<p>{escape(task.hints[0])} More hints: <code>pytest --hints {name}:2</code></p></div>"
    )


def table(
    rows: dict[str, list[dict[str, Any]]], sections: dict[str, str], tasks: dict[str, Any]
) -> str:
    """The board: a line for each task."""
    lines = []
    for section, title in sections.items():
        here = [task for task in tasks if task in rows and task.startswith(section)]
        if here:
            lines.append(f'<tr><th colspan="4">Task {section} {escape(title)}</th></tr>')
        for task in here:
            title = tasks[task].title + " (optional)" * tasks[task].optional
            link = f'<a href="#task-{task}">{task}</a>'
            cells = f'<td class="points">{share(rows[task])}</td><td class="state">'
            cells = f"<td>{link}</td><td>{escape(title)}</td>{cells}{word(rows[task])}</td>"
            lines.append(f"<tr>{cells}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def details(name: str, task: Any, tests: list[dict[str, Any]], pictures: list[tuple]) -> str:
    """One task: what is wrong or open, then its pictures; open where something is wrong."""
    title = f"<strong>{name}</strong> {escape(task.title)}{' (optional)' * task.optional}"
    opened = " open" if state(tests) == "wrong" else ""
    head = f"<summary>{word(tests)} {title} <small>{share(tests)}</small></summary>"
    inside = [message(test) for test in tests] + [figure(*picture) for picture in pictures]
    body = "\n".join(inside)
    return f'<details id="task-{name}"{opened}>{head}\n<div class="inside">{body}</div></details>'


def message(test: dict[str, Any]) -> str:
    """One test: its name and points; what it tests and what is wrong, or which TODO is open."""
    name = f"<strong>{escape(class_of(test))}</strong> {share([test])} {word([test])}"
    if state_of(test) == "done":
        return f'<p class="what">{name}</p>'
    if state_of(test) == "todo":
        return f'<p class="what">{name}</p>\n<pre class="todo">{escape(test["output"])}</pre>'
    what, _, said = test["output"].partition("\n")
    return f'<p class="what">{name}<br>{escape(what)}</p>\n<pre>{escape(said or what)}</pre>'


def figure(caption: str, data: bytes, alt: str) -> str:
    """A picture with its caption, inside the page."""
    source = "data:image/png;base64," + base64.b64encode(data).decode()
    image = f'<img src="{source}" alt="{escape(alt)}">'
    return f"<figure><figcaption>{escape(caption)}</figcaption>\n{image}</figure>"
