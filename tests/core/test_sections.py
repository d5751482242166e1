from hypothesis import given
from hypothesis import strategies as st

from handler.core import sections

apps = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_.]{0,8}", fullmatch=True), st.from_regex(r"[a-z]([a-z {}]{0,9}\n?){0,3}[a-z]", fullmatch=True), max_size=5
)
maps = st.dictionaries(st.from_regex(r"[a-z.]{1,6}", fullmatch=True), st.sampled_from(["node1", "node2", "hold"]), max_size=8)


@given(apps)
def test_joining_what_was_split_changes_nothing(parts: dict[str, str]) -> None:
    text = sections.join(sections.Sections("header", parts))
    assert sections.join(sections.split(text)) == text
    assert sections.split(text).parts.keys() == parts.keys()


def test_a_bad_part_keeps_its_last_good_version_and_the_others_go_on() -> None:
    live = sections.Sections("h", {"a": "old a", "b": "old b"})
    staged = sections.Sections("h2", {"a": "broken", "b": "new b", "c": "broken too"})
    merged = sections.with_last_good(staged, live, {"a": "why", "c": "why"})
    assert (merged.header, merged.parts) == ("h2", {"a": "old a", "b": "new b"})


@given(maps, maps)
def test_the_commands_turn_one_map_into_the_other(old: dict[str, str], new: dict[str, str]) -> None:
    seen = dict(old)
    for command in sections.map_commands("/m", old, new):
        verb, _, _, key, *value = command.split()
        if verb == "del":
            del seen[key]
        else:
            assert (key in seen) == (verb == "set")
            seen[key] = value[0]
    assert seen == new
