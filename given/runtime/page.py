"""Given: a page of pictures and tables that needs nothing but itself."""

import base64
import html

from given.runtime.figures import png

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0 auto; padding: 1rem 1rem 3rem; max-width: 46rem; color: #222; background: #fff;
  font: 1rem/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.6rem; line-height: 1.2; margin: 1rem 0 .5rem; }}
h2 {{ font-size: 1.2rem; margin: 2.5rem 0 .25rem; }}
p {{ margin: 0 0 .75rem; }}
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


def build_page(title, lead, sections):
    """One self-contained page.

    Args:
        title: texts.
        lead: texts.
        sections: list of (title, caption, content), with content a Figure, which becomes an
            embedded PNG, or a piece of html.
    """
    body = []
    for head, caption, content in sections:
        if not isinstance(content, str):
            data = base64.b64encode(png(content)).decode()
            content = f'<img src="data:image/png;base64,{data}" alt="{html.escape(caption)}">'
        body.append(f"<h2>{html.escape(head)}</h2>\n<p>{html.escape(caption)}</p>\n{content}")
    return PAGE.format(title=html.escape(title), lead=html.escape(lead), body="\n".join(body))
