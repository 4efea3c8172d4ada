"""Files of every format and condition become text, or say why not."""

import io

import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from agent_servers.research.passages import cut
from agent_servers.research.readers import Unreadable, read, safe_name


def pdf(*pages: str, password: str | None = None) -> bytes:
    """A PDF with one line of text per page; an empty string makes a blank page."""
    writer = pypdf.PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(width=600, height=800)
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_a_pdf_passage_is_located_by_page() -> None:
    document = read("a.pdf", pdf("The first page speaks of apples.", "The second page speaks of pears."))
    first, second = cut(document)

    assert document.locator(first.start, first.end) == "page 1"
    assert document.locator(second.start, second.end) == "page 2"
    assert second.text == "The second page speaks of pears."


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it is empty"),
        (b"\x00\x00\n", "it is empty"),
        (pdf("", ""), "probably scanned"),
        (pdf("Secret text of a report.", password="key"), "it is encrypted"),  # noqa: S106
        (b"%PDF-1.7\nthis is no PDF at all", "not a readable PDF"),
        (pdf("Some text that is cut off.")[:300], "PDF"),
    ],
)
def test_a_pdf_without_text_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read("a.pdf", raw)


def test_a_binary_file_that_calls_itself_text_is_refused() -> None:
    with pytest.raises(Unreadable, match="binary"):
        read("a.txt", bytes(range(32)) * 50 + b"\x00" * 500)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_is_read_in_the_encodings_people_use(encoding: str) -> None:
    text = "Das Übermaß an Wärme schadet dem Gerät."

    assert read("a.txt", text.encode(encoding)).text == text


def test_control_characters_do_not_reach_the_text() -> None:
    assert read("a.txt", b"A line\x00 with\x1b[31m a \xe2\x80\xaebell\x07.\r\n").text == (
        "A line with[31m a bell.\n"
    )


def test_html_gives_visible_text_under_its_headings() -> None:
    raw = b"""<html><head><title>Guide</title><style>p {color: red}</style></head><body>
    <nav>Home and other links of the site.</nav><h1>Start <em>here</em></h1>
    <p>The server listens on <b>port 8001</b> by default.</p>
    <script>alert("This is a script, not a sentence.")</script>
    <h2>Checks</h2><ul>
    <li>The first check looks at the disk.</li><li>The second check looks at memory.</li></ul>
    <pre>code that nobody should read aloud here</pre></body></html>"""
    document = read("guide.html", raw)
    passages = list(cut(document))
    sentences = [sentence.text for passage in passages for sentence in passage.sentences]

    assert document.title == "Guide"
    assert sentences == [
        "The server listens on port 8001 by default.",
        "The first check looks at the disk.",
        "The second check looks at memory.",
    ]
    assert passages[0].headings == ("Start here",)
    last = passages[-1]
    assert document.locator(last.start, last.end, last.headings) == 'section "Checks"'


def test_rows_of_an_html_table_know_their_columns() -> None:
    raw = b"""<table><thead><tr><th>Name</th><th>Port</th></tr></thead>
    <tbody><tr><td>research</td><td>8001</td></tr> <tr><td>api</td><td>8002</td></tr></tbody></table>"""
    (passage,) = cut(read("a.html", raw))

    assert passage.columns == ("Name", "Port")
    assert [sentence.text for sentence in passage.sentences] == ["| research | 8001 |", "| api | 8002 |"]


def test_deeply_nested_html_ends() -> None:
    raw = b"<div>" * 5_000 + b"The deep text is not worth a crash." + b"</div>" * 5_000

    with pytest.raises(Unreadable):
        read("deep.html", raw)


def test_the_format_is_told_by_the_bytes_where_the_name_lies() -> None:
    assert read("notes.txt", pdf("The text of a PDF in disguise.")).pages == (0,)


def test_headings_make_a_path_and_lines_are_counted() -> None:
    text = "# Top\n\nThe opening line of it all.\n\n## Inner\n\nThe inner line comes\nin two rows of text.\n"
    _, inner = cut(read("a.md", text.encode()))

    assert inner.headings == ("Top", "Inner")
    assert inner.document.locator(inner.start, inner.end) == "lines 7-8"


def test_a_heading_of_a_number_and_a_sign_is_a_heading() -> None:
    _, inner = cut(
        read("a.md", b"# 1 One\n\nThe first line of it all.\n\n# 5 a2a/\n\nThe second line of it.\n")
    )

    assert inner.headings == ("5 a2a/",)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("a\nb.txt", "a b.txt"),
        ("evil\u202etxt.exe", "evil txt.exe"),
        ("bad\udcff.txt", "bad?.txt"),
        ("x" * 500 + ".md", "..." + "x" * 154 + ".md"),
    ],
)
def test_a_hostile_name_is_made_fit_to_print(name: str, printed: str) -> None:
    assert safe_name(name) == printed
