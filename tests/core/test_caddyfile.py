import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.core.caddyfile import CaddyfileError, translate
from handler.core.caddyfile.syntax import Block, Directive, dump, parse

SEED = """
http://test.example.com {
    proxy / http://$CONTAINER:80
}
http://www.test.example.com {
    redir http://test.example.com
}
"""


def one(body: str, address: str = "http://x.example.com") -> str:
    return translate(f"{address} {{\n{body}\n}}", "ct-1", "app").caddyfile


def test_the_seed_s_wordpress_example() -> None:
    site = translate(SEED, "wp-web-1", "app")
    assert site.domains == ("test.example.com", "www.test.example.com")
    assert site.urls == ("http://test.example.com",)
    assert site.dialect == "caddy1"
    assert "reverse_proxy wp-web-1:80" in site.caddyfile
    assert "redir * http://test.example.com 301" in site.caddyfile
    assert site.caddyfile.count("\tlog\n") == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tls self_signed", "tls internal"),
        ("gzip", "encode {\n\t\t\tgzip\n\t\t\tzstd\n"),
        ("redir /a https://{host}{uri} 302", "redir /a https://{hostport}{orig_uri} 302"),
        ("redir 307 {\n /a /b\n}", "redir /a /b 307"),
        ("proxy /api http://ct:1", "path /api*"),
        ("proxy / http://ct:1 {\n transparent\n}", "header_up X-Real-IP {remote_host}"),
        ("proxy / http://ct:1 {\n header_upstream Host {>Host}\n}", "header_up Host {header.Host}"),
        ("header / X-A b", "header * >X-A b"),
        ("status 404 /secret", "error /secret* 404"),
        ("proxy / http://ct:1 {\n except /static\n}", "not path /static*"),
    ],
)
def test_directives(old: str, new: str) -> None:
    assert new in one(old)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("markdown", "line 2: markdown"),
        ("import /etc/passwd", "import"),
        ("proxy / http://a:1 {\n unknown\n}", "line 3: proxy: unknown"),
        ("redir {$SECRET}", "environment"),
        ("redir /x {unknown_thing}", "placeholder"),
        ("proxy / http://a:1\nreverse_proxy b:1", "Caddy 1 and .* Caddy 2"),
        ("tls /etc/cert /etc/key", "certificate files"),
        ("redir / http://a 299", "code 300"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_line_and_name(body: str, reason: str) -> None:
    with pytest.raises(CaddyfileError, match=reason):
        one(body)


@pytest.mark.parametrize("address", [":80", "*", "http://", "ftp://x", "x.example.com:8080", "http://x/path", "0.0.0.0:80 evil"])
def test_an_address_that_could_catch_others_requests_is_refused(address: str) -> None:
    with pytest.raises(CaddyfileError):
        translate(f"{address} {{\ngzip\n}}", "ct", "app") if "evil" not in address else translate(":80, x {\ngzip\n}", "ct", "app")


def test_caddy_2_passes_with_defaults() -> None:
    text = one("reverse_proxy ct:1 {\n header_up A {host}\n}")
    assert "header_up A {host}" in text
    assert "\tlog\n" in text


def test_global_options_are_refused() -> None:
    with pytest.raises(CaddyfileError, match="global"):
        translate("{\n admin off\n}\nhttp://x {\n gzip\n}", "ct", "app")


def test_the_same_address_twice_is_refused() -> None:
    with pytest.raises(CaddyfileError, match="twice"):
        translate("http://x {\n gzip\n}\nhttp://x {\n gzip\n}", "ct", "app")


words = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=8).filter(
    lambda w: not ("`" in w and ("\\" in w or '"' in w))
)
directives = st.recursive(
    st.builds(Directive, st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.lists(words, max_size=3).map(tuple)),
    lambda inner: st.builds(
        Directive,
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.lists(words, max_size=2).map(tuple),
        st.lists(inner, max_size=3).map(tuple),
    ),
    max_leaves=6,
)


def plain(directive: Directive) -> Directive:
    return Directive(directive.name, directive.args, None if directive.body is None else tuple(plain(d) for d in directive.body))


@given(st.lists(directives, max_size=4))
def test_what_is_written_is_read_again(found: list[Directive]) -> None:
    text = dump([Block(("http://x",), tuple(found))])
    assert tuple(plain(d) for d in parse(text)[0].directives) == tuple(found)


@given(st.text(st.sampled_from('ab {}"`#\n\\,:/$'), max_size=60))
def test_no_text_raises_anything_but_its_own_error(text: str) -> None:
    try:
        translate(text, "ct", "app")
    except CaddyfileError:
        pass
