import json

import pytest
import yaml

from handler.core import composefile
from handler.core.composefile import ComposeError
from handler.core.model import Hook

DRIVERS = ("anybox/buttervolume:latest", "btrfs")
APP = "hello_main.5d414"
BACKEND = {"name": "ssh-service", "port": 22, "peer_port": 2222}


def config(**changes) -> dict:
    service = {
        "image": "x",
        "environment": {"CADDYFILE": "http://x.example.com {\n proxy / http://$$CONTAINER:80\n}"},
        "networks": {"cluster_default": None},
    }
    return {
        "services": {"web": {**service, **changes}},
        "volumes": {"data": {"name": "hellomain5d414_data", "driver": "anybox/buttervolume:latest"}, "tmp": {"name": "p_tmp"}},
    }


def test_what_the_cluster_needs_is_found() -> None:
    spec = composefile.read(config(), APP, DRIVERS)
    assert spec.volumes == ("hellomain5d414_data",)
    assert spec.domains == ("x.example.com",)
    assert spec.ct == "hellomain5d414-web-1"
    assert spec.upstreams == (("hellomain5d414-web-1", 80),)
    assert spec.claims == ("domain/x.example.com", "project/hellomain5d414", "volume/hellomain5d414_data")
    assert spec.checks == ("http://x.example.com",)


def test_volumes_that_the_cluster_copies_are_claimed_by_docker_s_name_and_no_others() -> None:
    volumes = {
        "named": {"name": "shop_db", "driver": "btrfs"},
        "again": {"name": "shop_db", "driver": "btrfs"},
        "local": {"name": "shop_tmp", "driver": "local"},
        "other": {"name": "shop_cache"},
        "shared": {"name": "shop_files", "driver": "btrfs", "external": True},
    }
    spec = composefile.read({**config(), "volumes": volumes}, APP, DRIVERS)
    assert [claim for claim in spec.claims if claim.startswith("volume/")] == ["volume/shop_db"]


def test_every_backend_s_name_is_claimed_since_haproxy_has_one_name_for_all_apps() -> None:
    rule = {"use_backend_option": "if { hdr(host) -i a.example.com }"}
    shared = {"http-in": {"backends": [{**BACKEND, "name": "web", **rule}]}, "https-in": {"backends": [{**BACKEND, "name": "tls", **rule}]}}
    own = {"ssh": {"frontend": {"bind": ["*:2222"]}, "backends": [BACKEND, {**BACKEND, "name": "second", "use_backend_option": "if x"}]}}
    spec = composefile.read(config(environment={"HAPROXY": json.dumps({**shared, **own})}), APP, DRIVERS)
    assert spec.claims == (
        *("backend/second", "backend/ssh-service", "backend/tls", "backend/web", "domain/a.example.com", "frontend/ssh", "port/2222"),
        *("project/hellomain5d414", "volume/hellomain5d414_data"),
    )


def test_check_urls_are_added_and_service_json_replaces_them() -> None:
    environment = {**config()["services"]["web"]["environment"], "CONSUL_CHECK_URLS": "http://a/1, http://a/2"}
    spec = composefile.read(config(environment=environment), APP, DRIVERS, '{"checks": [{"name": "mine", "http": "http://b"}]}')
    assert spec.checks == ("http://x.example.com", "http://a/1", "http://a/2")
    assert spec.own_checks == ({"name": "mine", "http": "http://b"},)


@pytest.mark.parametrize("text", ["{", '{"checks": 3}', '{"checks": [{"args": ["rm"]}]}'])
def test_a_bad_service_json_is_refused(text: str) -> None:
    with pytest.raises(ComposeError, match="service.json"):
        composefile.read(config(), APP, DRIVERS, text)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"services": {}}, "no services"),
        (config(networks={"default": None}), "cluster_default"),
        ({**config(), "volumes": {"x": {"name": "v", "driver": "btrfs"}}}, "volume 'v'"),
        (config(environment={"CONSUL_CHECK_URLS": "file:///x"}), "CONSUL_CHECK_URLS"),
    ],
)
def test_bad_files_are_refused_by_their_reason(broken: dict, reason: str) -> None:
    with pytest.raises(ComposeError, match=reason):
        composefile.read(broken, APP, DRIVERS)


def test_no_container_starts_without_the_owner_token() -> None:
    spec = composefile.read(config(build={"context": "."}), APP, DRIVERS)
    made = yaml.safe_load(composefile.override(spec, APP, "d1", "/run/cluster/own/x"))["services"]["web"]
    assert made["image"] == "cluster/hellomain5d414-web:d1"
    assert made["volumes"][0]["source"] == "/run/cluster/own/x"
    assert made["volumes"][0]["bind"] == {"create_host_path": False}


def test_dotenv_keeps_the_repository_s_lines_and_adds_ours_once() -> None:
    text = composefile.dotenv("A=1\nCOMPOSE_PROJECT_NAME=theirs\n", APP, ["docker-compose.yml"])
    assert text.splitlines()[0] == "A=1"
    assert "theirs" not in text
    assert composefile.dotenv(text, APP, ["docker-compose.yml"]) == text


def labels(**more: object) -> dict:
    return config(labels={f"com.github.mlfmonde.cluster.{key.replace('_', '-')}": value for key, value in more.items()})


def test_a_pre_snapshot_command_is_read_into_words() -> None:
    spec = composefile.read(labels(pre_snapshot="dump --all 'to /data/dump' $$HOME", pre_snapshot_timeout="5"), APP, DRIVERS)
    assert spec.hooks == (Hook("web", ("dump", "--all", "to /data/dump", "$HOME"), 5),)
    listed = config(labels=["com.github.mlfmonde.cluster.pre-snapshot=dump", "other=x"])
    assert composefile.hooks(listed) == (Hook("web", ("dump",), 30),)
    assert composefile.hooks(config()) == ()


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"pre_snapshot": "dump 'it"}, "cannot be read"),
        ({"pre_snapshot": " "}, "names no command"),
        ({"pre_snapshot_timeout": "5"}, "names no command"),
        ({"pre_snapshot": "dump", "pre_snapshot_timeout": "61"}, "from 1 to 60"),
        ({"pre_snapshot": "dump", "pre_snapshot_timeout": "0"}, "from 1 to 60"),
        ({"pre_snapshot": "dump", "pre_snapshot_timeout": "1m"}, "'1m'"),
    ],
)
def test_a_bad_pre_snapshot_label_is_refused_by_service(bad: dict, word: str) -> None:
    with pytest.raises(ComposeError, match=f"service web: .*{word}"):
        composefile.read(labels(**bad), APP, DRIVERS)
