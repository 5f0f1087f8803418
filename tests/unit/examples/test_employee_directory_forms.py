"""Parsing and escaping, by properties."""

import json
import string
import urllib.parse
from html.parser import HTMLParser

import pytest
from client import multipart
from employee_directory.forms import BadForm, Form, parse
from employee_directory.photos import NotAPhoto, suffix_of
from employee_directory.profile import LONGEST_TEXT, one_line
from employee_directory.templating import render
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Minimal

names = st.text(string.ascii_lowercase + "_", min_size=1)
texts = st.text(st.characters(exclude_categories=["Cs"]))
#: One process each: fewer of them.
few = settings(
    max_examples=settings().max_examples * 2 // 5,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)


@given(
    fields=st.dictionaries(names, texts, max_size=9),
    files=st.dictionaries(names, st.binary(min_size=1), max_size=9),
)
def test_a_multipart_form_comes_back(fields: dict[str, str], files: dict[str, bytes]) -> None:
    assert parse(*multipart(fields, files)) == Form(fields, files)


@given(st.dictionaries(names, texts, max_size=9))
def test_a_urlencoded_form_comes_back(fields: dict[str, str]) -> None:
    body = urllib.parse.urlencode(fields).encode()

    assert parse("application/x-www-form-urlencoded", body) == Form(fields)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"])
@given(body=st.binary() | st.lists(st.sampled_from([b"\r\n", b"--", b"b", b":", b"; ", b"name=", b'"'])).map(b"".join))
def test_any_body_is_a_form_or_a_bad_form(content_type: str, body: bytes) -> None:
    try:
        form = parse(content_type, body)
    except BadForm:
        return
    assert all(isinstance(text, str) for text in form.fields.values())


@given(st.text(st.characters(max_codepoint=255)))
def test_any_content_type_is_a_form_or_a_bad_form(content_type: str) -> None:
    with pytest.raises(BadForm):
        parse(content_type, b"")


def test_a_multipart_form_without_its_end_is_refused() -> None:
    content_type, body = multipart({"name": "Ada"}, {})

    with pytest.raises(BadForm, match="cut short"):
        parse(content_type, body[:-10])


@given(st.binary())
def test_what_only_claims_to_be_a_photo_is_none(content: bytes) -> None:
    with pytest.raises(NotAPhoto):
        suffix_of(b"%PNG" + content)


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "png"),
        (b"\xff\xd8\xff\xe0", "jpg"),
        (b"RIFF\n\n\0\0WEBPVP8 ", "webp"),
    ],
)
def test_a_photo_is_known_by_its_content(content: bytes, suffix: str) -> None:
    assert suffix_of(content) == suffix


class TextOf(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += "".join(value or "" for name, value in attrs if name == "href")

    def handle_data(self, data: str) -> None:
        self.text += data


@given(texts)
def test_any_text_in_a_template_reads_back_as_itself(text: str) -> None:
    page = TextOf(render("email", email=text))

    # NUL is what HTML cannot say at all, CR it reads as LF; `one_line` lets neither in.
    assert (page.tags, page.text) == (["p", "a"], f"mailto:{text}{text}\n")


@few
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=LONGEST_TEXT))
def test_the_minimal_variant_decodes_a_form_as_the_full_one(stopped_minimal: Minimal, text: str) -> None:
    form = urllib.parse.urlencode({"name": text, "job_title": "x"})

    added = stopped_minimal.awk("add", FORM=form).decode()

    controls = {ord(character): " " for character in map(chr, range(32))} | {127: " "}
    expected = " ".join(filter(None, text.translate(controls).split(" ")))
    assert added == f"2\n1\t{expected}\tx\t\t\n"


@few
@given(text=st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\t"), min_size=1))
def test_the_minimal_variant_shows_any_text_as_itself(stopped_minimal: Minimal, text: str) -> None:
    stopped_minimal.records.write_text(f"2\n1\tA\t{text}\t\t\n", newline="\n")

    (employee,) = json.loads(stopped_minimal.awk("json"))

    assert employee["job_title"] == text
    assert f"\n{text}\n" in f"\n{TextOf(stopped_minimal.awk('list').decode()).text}\n".replace(
        "A" + text, f"\n{text}\n"
    )


@few
@given(st.binary(max_size=12))
def test_the_minimal_variant_takes_exactly_valid_utf8(stopped_minimal: Minimal, raw: bytes) -> None:
    form = f"name=A{urllib.parse.quote_from_bytes(raw)}&job_title=x"

    problem = stopped_minimal.awk("check", FORM=form).decode().strip()

    try:
        raw.decode()
    except UnicodeDecodeError:
        assert problem == "The form is not valid UTF-8."
    else:
        assert problem == ""


def test_one_line_keeps_what_scripts_need() -> None:
    assert one_line(" a\t\x00b\u200cc\r\n") == "a b\u200cc"
