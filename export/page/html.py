"""A page in one HTML file that asks nothing of the network, put together of parts.

Parts are HTML; whatever text they are given is escaped where it is put in.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

STYLE = """
:root { color-scheme: light; --ink: #1c1c1c; --soft: #666; --line: #ddd; --mark: #0072b2; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; color: var(--ink);
  max-width: 66rem; margin: 2.5rem auto; padding: 0 1.5rem; background: #fff; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .4rem; }
p { margin: .3rem 0 .8rem; } p.soft, figcaption, caption { color: var(--soft); }
figure { margin: 0; } figcaption, caption { font-size: .87rem; text-align: left; }
caption { padding-bottom: .4rem; max-width: calc(100vw - 3rem); }
svg { width: 100%; height: auto; font-family: inherit; min-width: 38rem; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr));
  gap: 2rem; } .beside > * { min-width: 0; } .beside svg { min-width: 22rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; margin: .8rem 0 1.4rem; width: 100%; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; vertical-align: top; }
th:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 9rem; }
thead th { border-bottom: 2px solid var(--line); font-weight: 600; }
tbody th { font-weight: 400; } tr.own th, tr.own td { font-weight: 600; }
small { color: var(--soft); display: block; font-weight: 400; }
td.better { color: #00663d; } td.worse { color: #a33c00; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def whole(title: str, kind: str, parts: Iterable[str]) -> str:
    """Return the page of something that is called `title`; `kind` says what is told of it."""
    body, title = "\n".join(parts), escape(title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}: {escape(kind)}</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def section(title: str, content: str) -> str:
    """Return a part of its own, of HTML."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def facts(told: Mapping[str, str]) -> str:
    """Return what stands at the top: a name and a line of text each."""
    members = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in told.items())
    return f"<dl>{members}</dl>"


def text(told: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(told)}</p>"


def table(title: str, heads: Sequence[str], rows: Iterable[str]) -> str:
    """Return a table of rows as `row` makes them; `heads` are those of all cells but the first."""
    columns = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    return (
        f'<div class="wide"><table><caption>{escape(title)}</caption>'
        f"<thead><tr><th></th>{columns}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def row(name: str, cells: Iterable[str], *, is_own: bool = False) -> str:
    """Return a row of a table: its name, and cells of HTML; what is one's own stands out."""
    own = ' class="own"' if is_own else ""
    return f'<tr{own}><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>'


def cell(told: str) -> str:
    """Return a cell that holds a text."""
    return f"<td>{escape(told)}</td>"


def drawn(svg: str, caption: str) -> str:
    """Return a plot with what has to be said of it."""
    caption = f"<figcaption>{escape(caption)}</figcaption>"
    return f'<figure><div class="wide">{svg}</div>{caption}</figure>'
