"""A page of pictures and tables that needs nothing but itself."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from given.runtime.figures import png
from given.runtime.files import write

RELOAD = '<meta http-equiv="refresh" content="10">\n'  # every 10 s

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{reload}<title>{title}</title>
<style>
body {{ margin: 0 auto; padding: 1rem 1rem 3rem; max-width: 46rem; color: #222; background: #fff;
  font: 1rem/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.6rem; line-height: 1.2; margin: 1rem 0 .5rem; }}
h2 {{ font-size: 1.2rem; margin: 2.5rem 0 .25rem; }}
p {{ margin: 0 0 .75rem; }}
.note {{ margin-top: 2.5rem; padding: .5rem .75rem; background: #f3f3f3; }}
img {{ display: block; width: 100%; height: auto; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem; }}
th, td {{ padding: .3rem .4rem; text-align: right; border-bottom: 1px solid #ddd; }}
th:first-child, td:first-child {{ text-align: left; }}
th[colspan] {{ padding-top: .9rem; }}
td {{ white-space: nowrap; }}
@media (max-width: 32rem) {{ table {{ font-size: .72rem; }} th, td {{ padding: .3rem .2rem; }} }}
thead th {{ color: #555; font-weight: 600; vertical-align: bottom; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{lead}</p>
{body}
</body>
</html>
"""


def build_page(title: str, lead: str, sections: Sequence[tuple]) -> str:
    """One self-contained page.

    Args:
        title: texts.
        lead: texts.
        sections: list of (title, caption, content), with content a Figure, which becomes an
            embedded PNG, or a piece of html.
    """
    return _fill(title, lead, map(_section, sections))


def _section(section):
    """A section as html."""
    head, caption, content = section
    if not isinstance(content, str):
        data = base64.b64encode(png(content)).decode()
        content = f'<img src="data:image/png;base64,{data}" alt="{html.escape(caption)}">'
    return f"<h2>{html.escape(head)}</h2>\n<p>{html.escape(caption)}</p>\n{content}"


def _fill(title, lead, body, reload=""):
    texts = {"title": html.escape(title), "lead": html.escape(lead)}
    return PAGE.format(**texts, body="\n".join(body), reload=reload)


class LivePage:
    """A page that grows: a reader sees it part by part, and it reloads itself until it is whole.

    Use it in a `with` statement: where that ends early, the page says what is missing.

    Args:
        path: of the file.
        title: texts.
        lead: texts.
        parts: what is to come, a text a call of `add`.
    """

    def __init__(self, path: Path | str, title: str, lead: str, parts: Sequence[str]) -> None:
        self.path, self.title, self.lead, self.to_come = path, title, lead, list(parts)
        self.body: list[str] = []

    def add(self, sections: Sequence[tuple]) -> None:
        """Show the sections of the next part, which may be none."""
        if not self.body:
            print(f"Pictures, as they come: {self.path}", flush=True)
        self.body += map(_section, sections)
        self.to_come.pop(0)
        self._write("Still to come: {}. This page reloads itself.", RELOAD)

    def _write(self, note, reload=""):
        """Write the page, with a note on what is to come."""
        body = list(self.body)
        if self.to_come:
            text = html.escape(note.format(", ".join(self.to_come)))
            body.insert(0, f'<p class="note">{text}</p>')
        page = _fill(self.title, self.lead, body, reload if self.to_come else "")
        write(self.path, page)

    def __enter__(self) -> "LivePage":
        return self

    def __exit__(self, kind, *_):
        if self.body and self.to_come:
            self._write("Stopped before the end. Not here: {}.")
