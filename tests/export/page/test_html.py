from export.page import html
from tests.pages import check_asks_nothing, tags

HOSTILE = "<script>alert('x')</script>\"&"


def test_a_page_of_all_parts_asks_nothing_and_holds_its_text() -> None:
    rows = [html.row(HOSTILE, [html.cell(HOSTILE)], is_own=own) for own in (True, False)]
    parts = (
        html.facts({HOSTILE: HOSTILE}),
        html.section(HOSTILE, html.text(HOSTILE) + html.table(HOSTILE, [HOSTILE], rows)),
        html.drawn("<svg></svg>", HOSTILE),
    )
    page = html.whole(HOSTILE, HOSTILE, parts)
    check_asks_nothing(page)
    escaped = "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&quot;&amp;"
    assert page.count(escaped) == 3 + 2 + 2 + 2 + 4 + 1, "the title and the kind among them"
    assert [a.get("class") for tag, a in tags(page) if tag == "tr"] == [None, "own", None]
