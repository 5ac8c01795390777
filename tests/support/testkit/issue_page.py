"""How does an issue look on GitHub? Its Markdown rendered by GitHub's rules, in a page like the design's picture."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from markdown_it import MarkdownIt
from mdit_py_plugins.tasklists import tasklists_plugin

# HTML is passed on, since GitHub too takes our hidden comments for HTML; other tags we write none.
_GFM = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"])
_GFM.use(tasklists_plugin)
_STYLE = """
body { font: 16px/1.5 Inter, system-ui, sans-serif; color: #1f2328; margin: 0 auto; padding: 24px 32px;
max-width: 830px }
h1 { font-weight: 400; font-size: 30px; line-height: 1.25; margin: 0 0 8px } h1 span { color: #59636e }
.meta { color: #59636e; border-bottom: 1px solid #d1d9e0; padding-bottom: 16px; font-size: 15px }
.open { background: #1f883d; color: #fff; border-radius: 99px; padding: 5px 12px; font-weight: 600; margin-right: 6px }
.labels { margin: 16px 0; display: flex; gap: 6px; flex-wrap: wrap }
.labels span { border: 1px solid #59636e; border-radius: 99px; padding: 0 9px; font-size: 13px }
.box { border: 1px solid #d1d9e0; border-radius: 6px }
.box > header { background: #f6f8fa; padding: 8px 16px; color: #59636e; border-bottom: 1px solid #d1d9e0 }
article { padding: 8px 16px } h3 { font-size: 18px; margin: 20px 0 8px }
p { margin: 8px 0 } table { border-collapse: collapse; margin: 8px 0; font-size: 14px }
th, td { border: 1px solid #d1d9e0; padding: 6px 13px; text-align: left } tr:nth-child(2n) td { background: #f6f8fa }
th:empty { padding: 0; border-width: 0 } code { background: #eff1f3; border-radius: 4px; padding: 1px 5px }
pre { background: #f6f8fa; border-radius: 6px; padding: 12px; overflow: auto } pre code { background: none; padding: 0 }
hr { border: 0; border-top: 1px solid #d1d9e0; margin: 16px 0 } a { color: #0969da }
.contains-task-list { list-style: none; padding-left: 4px }
"""


def rendered(body: str) -> str:
    """The body of an issue or comment as GitHub's readers get it."""
    return str(_GFM.render(body))


def page(title: str, number: int, labels: Iterable[str], body: str) -> str:
    """A whole page, to be looked at beside the picture of the design."""
    shown = "".join(f"<span>{escape(label)}</span>" for label in labels)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)} <span>#{number}</span></h1>"
        f'<div class="meta"><span class="open">Open</span> <b>billing-desk</b> opened this</div>'
        f'<div class="labels">{shown}</div><div class="box"><header><b>billing-desk</b> bot</header>'
        f"<article>{rendered(body)}</article></div></body></html>"
    )
