"""compose.yaml: its commands are commands, its variables are settings, its health checks ask what the services answer."""

import asyncio
import re
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from holdfast_actuators import web as actuator_web
from holdfast_consoles.cli.commands import app
from holdfast_processors.runtime import web as processor_web
from holdfast_schemas.settings import Settings, variables

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "holdfast:local"}


def parsed(command: list[str]) -> str:
    """The command's path, after its arguments were parsed by the real application. Raises a usage error otherwise."""
    found: Any = typer.main.get_command(app)
    context = found.make_context("holdfast", list(command))
    rest, path = list(command), []
    while hasattr(found, "resolve_command"):
        name, found, rest = found.resolve_command(context, rest)
        path.append(name)
        context = found.make_context(name, list(rest), parent=context)
    return " ".join(path)


def test_each_command_is_one_of_the_command_lines() -> None:
    assert {name: parsed(service["command"]) for name, service in OURS.items()} == {
        "topics": "topics create",
        "processor": "processor",
        "actuator": "actuator",
    }


@pytest.mark.parametrize(
    "command", [["topics", "creat"], ["processor", "--bogus"], ["topics", "create", "--replication-factor", "x"]]
)
def test_a_wrong_command_would_be_found(command: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such (command|option)|a valid integer"):
        parsed(command)


def test_each_variable_is_a_setting() -> None:
    used = {name for service in OURS.values() for name in service["environment"]}
    assert used
    assert used <= variables()


def test_the_settings_load_with_these_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for service in OURS.values():
        with monkeypatch.context() as patched:
            for name, value in service["environment"].items():
                patched.setenv(name, value)
            assert Settings.load().kafka.bootstrap_servers == "kafka:9092"


@pytest.mark.parametrize("name", ["processor", "actuator"])
def test_health_checks_ask_where_the_service_answers(name: str) -> None:
    [check] = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", SERVICES[name]["healthcheck"]["test"][-1])
    section = getattr(Settings(), name)
    assert check == (str(section.web_port), "/healthz")
    assert SERVICES[name]["environment"][f"HOLDFAST_{name.upper()}__WEB_HOST"] == "0.0.0.0"


def test_no_secret_stands_in_the_file() -> None:
    secrets = [
        v for s in SERVICES.values() for k, v in s.get("environment", {}).items() if "PASSWORD" in k or "DSN" in k
    ]
    assert len(secrets) == 2
    assert all("${LEDGER_PASSWORD:?" in value for value in secrets)


def test_everyone_waits_for_what_they_need() -> None:
    for name, service in OURS.items():
        for needed, how in service["depends_on"].items():
            assert needed in SERVICES
            one_shot = needed == "topics"
            assert how["condition"] == ("service_completed_successfully" if one_shot else "service_healthy")
            assert one_shot or "healthcheck" in SERVICES[needed], name


def test_the_image_installs_the_extras_of_the_services() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "[actuator,cli,processor]" in dockerfile
    assert 'ENTRYPOINT ["holdfast"]' in dockerfile


def test_both_services_answer_that_path() -> None:
    """Their own web servers, on free ports: what the health checks ask for is there, and another path is not."""
    actuator = actuator_web.serve("127.0.0.1", 0, lambda: None, lambda: "")
    try:
        assert _status(actuator.server_address[1], "/healthz") == 200
        assert _status(actuator.server_address[1], "/health") == 404
    finally:
        actuator.shutdown()
        actuator.server_close()

    async def processor() -> list[int]:
        runner = await processor_web.serve("127.0.0.1", 0, lambda: None, lambda: "")
        try:
            port = runner.addresses[0][1]
            return [await asyncio.to_thread(_status, port, path) for path in ("/healthz", "/health")]
        finally:
            await runner.cleanup()

    assert asyncio.run(processor()) == [200, 404]


def _status(port: int, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
