"""compose.yaml: a compose file, whose commands, variables, secrets and health checks are those of the real thing."""

import asyncio
import importlib.util
import json
import re
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import validators

from holdfast_actuators import web as actuator_web
from holdfast_processors.runtime import web as processor_web
from holdfast_schemas.settings import Settings

from .parts import ROOT, WEB_PORTS, parsed, unknown_variables

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
PATHS = ("/healthz", "/readyz", "/health")
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "holdfast:local"}


def test_each_command_is_one_of_the_command_lines() -> None:
    assert {name: parsed(service["command"]) for name, service in OURS.items()} == {
        "topics": "topics create",
        "processor-1": "processor",
        "processor-2": "processor",
        "actuator-1": "actuator",
        "actuator-2": "actuator",
        "sampler": "sample postgres",
        "cli": "status",
    }


def test_it_is_a_compose_file_by_the_published_schema() -> None:
    spec = importlib.util.find_spec("check_jsonschema")
    assert spec is not None
    assert spec.origin is not None
    schema = json.loads((Path(spec.origin).parent / "builtin_schemas/vendor/compose-spec.json").read_text())
    validator = validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    assert not validator.is_valid({**COMPOSE, "services": {"x": {"restart": ["always"]}}})


@pytest.mark.parametrize(
    "command", [["topics", "creat"], ["processor", "--bogus"], ["topics", "create", "--replication-factor", "x"]]
)
def test_a_wrong_command_would_be_found(command: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such (command|option)|a valid integer"):
        parsed(command)


def test_each_variable_and_secret_is_a_setting() -> None:
    used = {name for service in OURS.values() for name in service["environment"]}
    assert used
    assert (
        unknown_variables(used | {one["target"] for service in OURS.values() for one in service.get("secrets", ())})
        == set()
    )
    assert unknown_variables({"HOLDFAST_LEDGER__DNS"}) == {"HOLDFAST_LEDGER__DNS"}


def test_the_settings_load_with_these_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, service in OURS.items():
        folder = tmp_path / name
        folder.mkdir()
        for secret in service.get("secrets", ()):
            (folder / secret["target"]).write_text("postgresql://u:p@h/d\n")
        with monkeypatch.context() as patched:
            for variable, value in service["environment"].items():
                patched.setenv(variable, str(folder) if variable == "HOLDFAST_SECRETS_DIR" else value)
            settings = Settings.load()
        assert settings.kafka.bootstrap_servers == "kafka:9092"
        if "actuator" in name:
            assert (settings.actuator.name, settings.ledger.dsn.get_secret_value()) == (name, "postgresql://u:p@h/d")
        if name == "sampler":
            assert settings.targets["orders"].dsn.get_secret_value() == "postgresql://u:p@h/d"


def test_everything_that_is_named_is_there() -> None:
    for name, service in SERVICES.items():
        for secret in service.get("secrets", ()):
            assert (secret if isinstance(secret, str) else secret["source"]) in COMPOSE["secrets"], name
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in COMPOSE["volumes"], name
        assert set(service.get("depends_on", ())) <= set(SERVICES), name
    folders = {secret["file"].rpartition("/")[0] for secret in COMPOSE["secrets"].values()}
    assert folders == {"./secrets"}
    assert "secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "secrets" in (ROOT / ".dockerignore").read_text().splitlines()


def test_services_come_back_and_one_shots_do_not() -> None:
    restarted = {name for name, service in SERVICES.items() if service.get("restart") == "unless-stopped"}
    assert restarted == set(SERVICES) - {"topics", "cli"}


@pytest.mark.parametrize("name", ["processor-1", "processor-2", "actuator-1", "actuator-2"])
def test_health_checks_ask_where_the_service_answers(name: str) -> None:
    [check] = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", SERVICES[name]["healthcheck"]["test"][-1])
    kind = name.partition("-")[0]
    assert check == (str(WEB_PORTS[kind]), "/healthz")
    assert SERVICES[name]["environment"][f"HOLDFAST_{kind.upper()}__WEB_HOST"] == "0.0.0.0"


def test_no_secret_stands_in_the_file_or_in_an_environment() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "DSN" not in name
            assert "PASSWORD" not in name or (name.endswith("_FILE") and value.startswith("/run/secrets/"))


def test_everyone_waits_for_what_they_need() -> None:
    for name, service in OURS.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES
            one_shot = needed == "topics"
            assert how["condition"] == ("service_completed_successfully" if one_shot else "service_healthy")
            assert one_shot or "healthcheck" in SERVICES[needed], name


def test_the_image_installs_the_extras_of_the_services() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "[actuator,cli,processor]" in dockerfile
    assert 'ENTRYPOINT ["holdfast"]' in dockerfile


def test_both_services_answer_these_paths() -> None:
    """Their own web servers, on free ports: what the health checks ask for is there, and another path is not."""
    actuator = actuator_web.serve("127.0.0.1", 0, lambda: None, lambda: "")
    try:
        assert [_status(actuator.server_address[1], path) for path in PATHS] == [200, 200, 404]
    finally:
        actuator.shutdown()
        actuator.server_close()

    async def processor() -> list[int]:
        runner = await processor_web.serve("127.0.0.1", 0, lambda: None, lambda: "")
        try:
            port = runner.addresses[0][1]
            return [await asyncio.to_thread(_status, port, path) for path in PATHS]
        finally:
            await runner.cleanup()

    assert asyncio.run(processor()) == [200, 200, 404]


def _status(port: int, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
