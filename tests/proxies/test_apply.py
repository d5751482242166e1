"""Bringing rendered files into the proxies, with the real Caddy and HAProxy."""

import pytest
from programs import need

from handler.core import sections
from handler.proxies import caddy, quarantine
from handler.proxies.paths import Paths

HEADER = "{\n\tadmin off\n\tskip_install_trust\n}\n"
GOOD = "http://good.example.com {\n\trespond good\n}\n"
BAD = "http://bad.example.com {\n\tno_such_directive\n}\n"


def stage(paths: Paths, **parts: str) -> None:
    words = {app: "broken" if not text else "" for app, text in parts.items()}
    (paths.staging / "Caddyfile").write_text(sections.join(sections.Sections(HEADER.strip(), parts, words)))


def live(paths: Paths) -> sections.Sections:
    return sections.split((paths.caddy / "Caddyfile").read_text())


@pytest.mark.component
class TestCaddyfile:
    @pytest.fixture(autouse=True)
    def program(self) -> None:
        need("caddy")

    def test_a_bad_app_is_left_out_alone(self, paths: Paths) -> None:
        stage(paths, good=GOOD, bad=BAD)
        caddy.apply(paths)
        assert list(live(paths).parts) == ["good"]
        assert "no_such_directive" in quarantine.reasons(paths, "caddyfile")["bad"]

    def test_the_last_good_version_of_a_bad_app_stays_and_others_are_updated(self, paths: Paths) -> None:
        stage(paths, good=GOOD, bad=BAD.replace("no_such_directive", "respond fine"))
        caddy.apply(paths)
        stage(paths, good=GOOD.replace("respond good", "respond better"), bad=BAD)
        caddy.apply(paths)
        assert "respond fine" in live(paths).parts["bad"]
        assert "respond better" in live(paths).parts["good"]

    def test_one_bad_app_among_many_costs_few_questions(self, paths: Paths, monkeypatch) -> None:
        many = {f"app{number}": GOOD.replace("good.", f"host{number}.") for number in range(200)}
        stage(paths, **many)
        caddy.apply(paths)
        asked, check = [], caddy.check
        monkeypatch.setattr(caddy, "check", lambda argv: asked.append(argv) or check(argv))
        stage(paths, **{**many, "app77": BAD, "app78": many["app78"].replace("respond good", "respond better")})
        caddy.apply(paths)
        assert "respond better" in live(paths).parts["app78"]
        assert "respond good" in live(paths).parts["app77"]
        assert len(asked) < 10

    def test_a_repair_lifts_the_quarantine(self, paths: Paths) -> None:
        stage(paths, good=GOOD, bad=BAD)
        caddy.apply(paths)
        stage(paths, good=GOOD, bad=BAD.replace("no_such_directive", "respond fine"))
        caddy.apply(paths)
        assert quarantine.reasons(paths, "caddyfile") == {}
        assert set(live(paths).parts) == {"good", "bad"}

    def test_two_apps_with_the_same_site_do_not_take_each_other_down(self, paths: Paths) -> None:
        stage(paths, first=GOOD, second=GOOD)
        caddy.apply(paths)
        assert list(live(paths).parts) == ["first"]

    def test_a_record_that_is_no_json_keeps_its_routes(self, paths: Paths) -> None:
        stage(paths, app=GOOD)
        caddy.apply(paths)
        stage(paths, app="")
        caddy.apply(paths)
        assert "respond good" in live(paths).parts["app"]

    def test_an_override_counts_until_it_is_settled(self, paths: Paths) -> None:
        stage(paths, app=GOOD)
        caddy.override(paths, "app", GOOD.replace("respond good", "respond trial"))
        assert "respond trial" in live(paths).parts["app"]
        caddy.apply(paths)
        assert "respond trial" in live(paths).parts["app"]
        caddy.settle(paths, "app", 0)
        assert "respond good" in live(paths).parts["app"]
