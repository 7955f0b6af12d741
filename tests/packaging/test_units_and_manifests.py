"""The systemd units and the Kubernetes manifests: by the published linters, and by the real commands, settings and paths."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from holdfast_schemas.errors import NotFound, Refused, Unusable

from .parts import ROOT, WEB_PORTS, parsed, unknown_variables

UNITS = sorted((ROOT / "examples" / "systemd").glob("*.service"))
MANIFESTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "examples" / "kubernetes" / "holdfast.yaml").read_text())[
    "items"
]
KUBERNETES = "1.31"
PODS = {m["metadata"]["name"]: m["spec"]["template"]["spec"] for m in MANIFESTS if "template" in m.get("spec", {})}


def test_there_is_a_unit_for_each_service() -> None:
    assert [unit.name for unit in UNITS] == [f"holdfast-{s}@.service" for s in ("actuator", "processor", "sampler")]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_no_fault_in_the_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on PATH")
    installed = tmp_path / unit.name.replace("@", "@1")
    # The program must be where the unit says: here it is in another folder.
    installed.write_text(
        unit.read_text().replace("/opt/holdfast/bin/holdfast", f"{Path(sys.executable).parent}/holdfast")
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(installed)], capture_output=True, text=True, timeout=60
    )
    ours = [line for line in done.stderr.splitlines() if installed.name in line]
    assert ours == []
    broken = tmp_path / "broken@1.service"
    broken.write_text(installed.read_text().replace("ProtectSystem=strict", "ProtectSystem=perhaps"))
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(broken)], capture_output=True, text=True, timeout=60
    )
    assert "protect system" in found.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_each_command_variable_and_credential_of_a_unit_is_real(unit: Path) -> None:
    text = unit.read_text()
    [command] = re.findall(r"^ExecStart=\S+ (.*)$", text, re.M)
    assert parsed(command.replace("%i", "orders").split())
    assert unknown_variables(set(re.findall(r"^(?:Environment|LoadCredential)=(\w+(?:%i\w+)?)", text, re.M))) == set()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_again_for_ever_but_not_what_a_person_must_mend(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    mended = " ".join(str(refusal.exit_code) for refusal in (Unusable, Refused, NotFound))
    assert {"Restart=always", "StartLimitIntervalSec=0", f"RestartPreventExitStatus={mended}"} <= set(lines)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda m: f"{m['kind']}-{m['metadata']['name']}")
def test_kubernetes_takes_the_manifest(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest | {"metadata": {"nam": "x"}}, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", PODS)
def test_each_command_variable_and_probe_of_a_pod_is_real(name: str) -> None:
    [container] = PODS[name]["containers"]
    kind = parsed(container["args"])
    assert unknown_variables({one["name"] for one in container.get("env", ())}) == set()
    assert container["image"] == "holdfast:local"
    if kind in WEB_PORTS:
        assert [port["containerPort"] for port in container["ports"]] == [WEB_PORTS[kind]]
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    volumes = {volume["name"] for volume in PODS[name].get("volumes", ())}
    assert {mount["name"] for mount in container.get("volumeMounts", ())} == volumes


def test_what_settings_and_secrets_hold_are_settings() -> None:
    data = {m["kind"]: m.get("data") or m.get("stringData") for m in MANIFESTS if m["kind"] in ("ConfigMap", "Secret")}
    assert unknown_variables(set(data["ConfigMap"]) | set(data["Secret"])) == set()


def test_only_actuators_see_the_ledgers_secret() -> None:
    [secret] = [m for m in MANIFESTS if m["kind"] == "Secret"]
    assert {name for name, pod in PODS.items() if pod.get("volumes")} == {"holdfast-actuator"}
    pod = PODS["holdfast-actuator"]
    [mount], [container] = pod["containers"][0]["volumeMounts"], pod["containers"]
    assert pod["volumes"][0]["secret"]["secretName"] == secret["metadata"]["name"]
    assert {"name": "HOLDFAST_SECRETS_DIR", "value": mount["mountPath"]} in container["env"]
