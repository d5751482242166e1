"""No app's text reaches into Caddy's container, or out of its own site."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.core import routes, sections
from handler.core.caddyfile import CaddyfileError, translate
from handler.core.caddyfile.syntax import Block, Directive, dump, parse


@pytest.mark.parametrize(
    "body",
    [
        "templates",
        "handle {\n templates\n}",
        "root * /data\nfile_server",
        "root * data\nfile_server",
        "root * /\nfile_server",
        "handle {\n vars root /data\n file_server\n}",
        "file_server {\n root /data\n}",
        "reverse_proxy {header.X}",
        "reverse_proxy unix//run/cluster/caddy/admin.sock",
        "reverse_proxy unix+h2c//run/x",
        "reverse_proxy fd/3",
        "reverse_proxy a:1 {\n to unix//run/x\n}",
        "reverse_proxy a:1 {\n handle_response {\n  root * /data\n  file_server\n }\n}",
        "header {\n import /etc/passwd\n}",
        "log {\n output file /data/x\n}\nrespond a",
        "proxy / {>X}",
        "root /srv/{>X}",
        "fastcgi / unix//run/x php",
        "proxy / unix:/run/x",
        'header A "<<EOF"\nheader B "\nEOF\n}\nhttp://victim.example.com/* {\n respond stolen\n header Z z"',
        'respond "a`b\\"c"',
    ],
)
def test_what_reaches_into_caddy_is_refused_or_stays_one_word(body: str) -> None:
    try:
        text = translate(f"http://x.example.com {{\n{body}\n}}", "ct", "app").caddyfile
    except CaddyfileError:
        return
    assert [block.addresses for block in parse(text)] == [("http://x.example.com",)]
    assert "`<<EOF`" in text


@pytest.mark.parametrize("body", ["reverse_proxy shop-unix-web-1:80", "proxy / unix-tools-web-1:80", "proxy / http://fd-shop-web-1:80"])
def test_a_container_s_name_is_no_socket(body: str) -> None:
    assert "-web-1:80" in translate(f"http://x.example.com {{\n{body}\n}}", "ct", "app").caddyfile


def test_the_default_page_is_the_same_whoever_shows_it() -> None:
    """Two images are built from two folders, each with its copy."""
    project = Path(__file__).parents[2]
    assert (project / "caddy/maintenance.html").read_text() == (project / "haproxy/maintenance.html").read_text()


def test_files_are_served_from_srv_only() -> None:
    assert "root * /srv" in translate("http://x.example.com {\nfile_server browse\n}", "ct", "app").caddyfile


@given(st.text(min_size=1, max_size=12))
def test_a_word_stays_one_word_or_is_refused(word: str) -> None:
    try:
        text = dump([Block(("http://x",), (Directive("header", ("A", word)),))])
    except CaddyfileError:
        return
    assert not text.split("header A ")[1].startswith("<<")
    assert parse(text)[0].directives[0].args == ("A", word)


@pytest.mark.parametrize("line_end", ["\r", "\x0c", "\x85", "\u2028"])
def test_only_a_newline_ends_a_line(line_end: str) -> None:
    found = sections.split(f"head\n# app: a\nx{line_end}# app: victim{line_end}y\n")
    assert list(found.parts) == ["a"]


@pytest.mark.parametrize("blank", ["\t", "\u00a0", "\u3000"])
@pytest.mark.parametrize("word", ["", "broken"])
def test_a_name_with_a_blank_that_is_no_space_has_a_section_of_its_own(blank: str, word: str) -> None:
    app = f"swarm/our{blank}shop"
    found = sections.split(f"head\n# app: a\nx\n# app: {app} {word}".rstrip(" ") + "\ny\n")
    assert found.parts == {"a": "x", app: "y"}
    assert found.words == {"a": "", app: word}
    assert sections.split(sections.join(found)) == found


def test_an_app_in_quarantine_keeps_its_domain() -> None:
    live = sections.Sections("", {"shop": "shop.example.com node1"})
    staged = sections.Sections("", {"blog": "shop.example.com node2", "shop": ""}, {"blog": "e", "shop": "broken"})
    assert routes.refused(staged, live).keys() == {"blog", "shop"}
