import pytest

from leaderboard.intake.names import (
    check_author,
    check_code,
    check_contact,
    check_link,
    check_name,
    folder_name,
    same_name,
    shown,
)

GOOD = [
    "My forest (2)",
    "gbm+noise_v1.0",
    "Z\u00f6e",
    "\u68ee\u306e\u30e2\u30c7\u30eb",
    "7",
]
BAD = {
    "script": "<script>alert(1)</script>",
    "markdown link": "[x](javascript:alert(1))",
    "pixel": "![](http://t/pixel)",
    "table break": "a|b",
    "template": "{{7*7}}",
    "bidi override": "abc\u202egnp",
    "zero width": "fo\u200brest",
    "joiner": "fo\u200drest",
    "homoglyph": "f\u043erest",
    "greek homoglyph": "f\u03bfrest",
    "ten kilobytes": "a" * 10_000,
    "61 characters": "a" * 61,
    "empty": "",
    "blanks": "   ",
    "odd blanks": "my  forest",
    "no-break blank": "my\u00a0forest",
    "line break": "forest\n",
    "nul": "forest\0",
    "full-width": "\uff26orest",
    "combining": "fore\u0301\u0302\u0303st",
    "decomposed": "Zoe\u0308",
    "hangul filler": "\u3164",
    "hangul choseong filler": "\u115f",
    "ligature": "\ufb01ne",
    "surrogate": "\ud800",
    "tag": "a\U000e0061",
    "quote": 'a" onload="x',
    "entity": "&lt;b&gt;",
    "path": "../../etc",
    "foreign digits": "run\u0663",
}
FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@sum",
    "\t1",
    "\r1",
    "\x001",
    "\uff1d1",
    "\uff0b1",
    "\u22121",
]


@pytest.mark.parametrize("name", GOOD)
def test_names_of_people_and_methods_may_stand_on_the_page(name):
    assert check_name(name) is None


@pytest.mark.parametrize("name", BAD.values(), ids=BAD.keys())
def test_s09_hostile_names_are_refused_and_told_in_ascii(name):
    why = check_name(name)
    assert why is not None
    assert why.isascii()
    assert why.isprintable()
    assert len(why) < 400


@pytest.mark.parametrize("name", FORMULAS)
def test_s10_a_name_does_not_begin_like_a_formula(name):
    assert check_name(name) is not None


def test_authors_may_have_apostrophes_and_commas():
    assert check_author("O'Neil, Zo\u00eb") is None
    assert check_author("<O'Neil>") is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("My forest", "my  FOREST"),
        ("forest", "\uff46orest"),
        ("forest", "f\u043er\u0435st"),
        ("my_forest", "my forest"),
        ("Stra\u00dfe", "strasse"),
        ("lasso", "Iasso"),
        ("lasso", "1asso"),
        ("GPO", "GP0"),
        ("ridge", "r\u0131d\u0261e"),
    ],
)
def test_s09_names_that_a_reader_mixes_up_have_one_key(one, other):
    assert same_name(one) == same_name(other)
    assert same_name(one) != same_name(one + "2")


@pytest.mark.parametrize(
    "link",
    [
        "https://example.org",
        "https://example.org:8443/a/b-c_d?x=1&y=%20#top",
        "https://xn--bcher-kva.example/",
    ],
)
def test_https_links_may_stand_on_the_page(link):
    assert check_link(link) is None


@pytest.mark.parametrize(
    "link",
    [
        "http://example.org",
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "//example.org",
        "https://",
        "https:///path",
        "https://user:secret@example.org/",
        "https://example.org@evil.example/",
        "https://ex\u0430mple.org/",
        "https://example.org/\u202e",
        "https://example.org/a b",
        'https://example.org/"onmouseover="x',
        "https://example.org/<b>",
        "https://example.org/`",
        "https://example.org/a)b",
        "https://example.org\\@evil.example",
        "https://example.org\n",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://-a.org/",
        "https://example.org/" + "a" * 200,
        "",
    ],
)
def test_s09_other_links_are_refused(link):
    assert check_link(link) is not None


def test_a_contact_is_a_mail_address_or_a_link():
    assert check_contact("a.b+c@example.org") is None
    assert check_contact("https://example.org/me") is None
    assert check_contact("maintainers") is None
    for text in ("a@b", "mailto:a@example.org", "a b@example.org", "@me", "x" * 300):
        assert check_contact(text) is not None, text


@pytest.mark.parametrize("name", ["forest", "t4-digits-forest", "7", "a" * 60])
def test_folder_names(name):
    assert folder_name(name) is None


@pytest.mark.parametrize(
    "name",
    ["", "..", "../x", "/etc", "a/b", "a\0", "CON", "con", "nul", "lpt1", "A", "-a",
     "a" * 61, "a.b", "a\n", "\u0430"],
)  # fmt: skip
def test_s08_folder_names_go_nowhere(name):
    assert folder_name(name) is not None


def test_what_is_shown_is_quoted_short_and_printable():
    text = shown("\x1b[2J\u202e`" + "a" * 1000)
    assert text.startswith("'\\x1b[2J\\u202e\\x60aaa")
    assert text.endswith("...")
    assert len(text) < 80


def test_code_lies_behind_a_link_or_among_the_baselines():
    assert check_code("https://example.org/forest") is None
    assert check_code("baselines/sotl_e.py") is None
    for text in ("baselines/../a.py", "tasks/base.py", "baselines/a.py?x", "a.py"):
        assert "or baselines/NAME.py" in (check_code(text) or ""), text
