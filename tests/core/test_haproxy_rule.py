"""Which hosts a rule in a shared frontend is for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.core import haproxy, routes
from handler.core.haproxy_rule import hosts

HOST = "a.example.com"
LONG = ".".join(["a" * 60] * 4) + ".abcdefghi"


NAMED = [
    ("if { hdr(host) -i another.example.com }", ("another.example.com",)),
    ("if { hdr(host) A.example.com }", (HOST,)),
    ("if  {  hdr(host)  -i  a.example.com  }", (HOST,)),
    ("if { hdr(host) -i a.example.com b.example.com c_1 }", (HOST, "b.example.com", "c_1")),
    ("if { req.hdr(host),lower,field(1,:) -m str -i a.example.com }", (HOST,)),
    ("if { hdr(host),host_only a.example.com }", (HOST,)),
    ("if { req_ssl_sni -i a.example.com }", (HOST,)),
    ("if { req.ssl_sni,lower a.example.com }", (HOST,)),
    ("if { ssl_fc_sni -i a.example.com }", (HOST,)),
    ("if { hdr(host) -i a.example.com } { path_beg /or }", (HOST,)),
    ("if METH_GET ! { path or || } { hdr(host) -i a.example.com }", (HOST,)),
    ("if { path_reg ^/x$ } { hdr(host) -i a.example.com } !{ hdr(host) -i b.example.com }", (HOST,)),
    ("if !! { hdr(host) -i a.example.com }", (HOST,)),
    ("if ! ! METH_GET !METH_POST { hdr(host) -i a.example.com } !", (HOST,)),
    ("if { hdr(host) -i a.example.com } { req.hdr(host) -i b.example.com a.example.com }", (HOST, "b.example.com")),
    ("if { hdr(host) -i or }", ("or",)),
    ('if { hdr(host) -i "a.example.com" }', (HOST,)),
    ("if { hdr(host) -i a.example.com:8080 }", (HOST,)),
    ("if { hdr(host) -i a.example.com } { path_reg '^/api(/|$)' }", (HOST,)),
    ("if { hdr(host) -i a.example.com } { path_reg ^/v1\\.0 }", (HOST,)),
    (f"if {{ hdr(host) -i {LONG} }}", (LONG,)),
]


@pytest.mark.parametrize(("rule", "found"), NAMED)
def test_all_hosts_that_a_rule_names_are_found(rule: str, found: tuple[str, ...]) -> None:
    assert hosts(rule) == found
    merged = haproxy.merge([("ct", haproxy.parse(text(rule)))])
    assert haproxy.domains(merged) == found
    assert all(routes._LINE.match(f"{host} node1") for host in found)


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "if",
        "if TRUE",
        "IF { hdr(host) -i a.example.com }",
        "if\u00a0{ hdr(host) -i a.example.com }",
        "unless { hdr(host) -i a.example.com }",
        "if !{ hdr(host) -i a.example.com }",
        "if ! { hdr(host) -i a.example.com }",
        "if !! ! { hdr(host) -i a.example.com }",
        "if { hdr(host) -i a.example.com } || { path / }",
        "if { hdr(host) -i a.example.com } Or { path / }",
        "if { hdr(host) -i a.example.com } !or { path / }",
        "if { hdr(host) -i a.example.com } ! || { path / }",
        'if { hdr(host) -i a.example.com } "||" { path / }',
        "if { hdr(host) -i a.example.com } '||' { path / }",
        "if { hdr(host) -i a.example.com } \\x6fr { path / }",
        'if { path_reg "x } { hdr(host) -i a.example.com }" }',
        'if { path "$HOME" } { hdr(host) -i a.example.com }',
        'if { path_reg \\" } { hdr(host) -i a.example.com }',
        'if { hdr(host) -i a.example.com } o""r { path / }',
        'if { path / } "" { hdr(host) -i a.example.com }',
        "if { path / } '' { hdr(host) -i a.example.com }",
        "if { path / } # { hdr(host) -i a.example.com }",
        "if #{ hdr(host) -i a.example.com }",
        "if { path_reg { hdr(host) -i a.example.com }",
        "if { hdr(host) -i a.example.com",
        "if { hdr(host) -i a.example.com }x",
        "if {hdr(host) -i a.example.com }",
        "if { hdr(host) }",
        "if { hdr(host) -i }",
        "if { hdr(host) -m end a.example.com }",
        "if { hdr(host) -m reg a.example.com }",
        "if { hdr(host) -m found }",
        "if { hdr(host) -f /etc/hosts a.example.com }",
        "if { hdr(host) -- a.example.com }",
        "if { hdr(host) a.example.com -i }",
        "if { hdr(host) -i .example.com }",
        "if { hdr(host) -i *.example.com }",
        "if { hdr(host) -i a.example.com { }",
        f"if {{ hdr(host) -i {LONG}x }}",
        "if { hdr(host),regsub(x,y) -i a.example.com }",
        "if { hdr(host),field(2,:) -i a.example.com }",
        "if { hdr(host2) -i a.example.com }",
        "if { hdr_end(host) -i a.example.com }",
        "if { xhdr(host) -i a.example.com }",
        "if { hdr(host),lower\u00a0-i a.example.com }",
    ],
)
def test_a_rule_that_could_take_the_requests_of_others_is_refused(rule: str) -> None:
    assert hosts(rule) == ()
    with pytest.raises(haproxy.HaproxyError, match="name its hosts"):
        haproxy.parse(text(rule))


def text(rule: str) -> str:
    return json.dumps({"http-in": {"backends": [{"name": "x", "port": 80, "use_backend_option": rule}]}})


WORDS = ["{", "}", "!", "!!", "!{", "or", "||", "!or", "TRUE", "hdr(host)", "-i", "-m", "str", "end", "a.example.com", "b", "path", "/"]


@given(st.lists(st.sampled_from(WORDS), max_size=14))
def test_whatever_is_accepted_has_a_term_of_hosts_and_no_or_outside_of_terms(words: list[str]) -> None:
    found = hosts(" ".join(["if", *words]))
    if not found:
        return
    outside, inside = [], False
    for word in words:
        if not inside and word.strip("!") != "{":
            outside.append(word.strip("!"))
        inside = word != "}" if inside else word.strip("!") == "{"
    assert not {"or", "||"} & set(outside)
    assert set(found) <= {"a.example.com", "b", "str", "end", "or", "true", "path"}
    assert "hdr(host)" in words
