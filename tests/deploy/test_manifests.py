"""Do the files that deploy us name our real settings, commands, addresses and ports, and keep every door shut?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import app
from integrations.settings import NAMES
from zendesk.openapi import ROUTES

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
OURS = {name: one for name, one in COMPOSE["services"].items() if name not in {"proxy", "postgres"}}
KUBERNETES = {
    (document["kind"], document["metadata"]["name"]): document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    if document["kind"] != "Kustomization"
}
INSIDE = {"/metrics", "/readyz"}
READABLE_BY_OTHERS = 0o007


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for (kind, name), document in KUBERNETES.items():
        spec = document.get("spec", {})
        spec = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec
        if "template" in spec:
            yield name, spec["template"]["spec"]


def parsed(arguments: list[str]) -> click.Context:
    """The command line as the product reads it; a wrong option or value fails."""
    command = app.cli.commands[arguments[0]]
    return command.make_context(arguments[0], list(arguments[1:]))


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_run_real_commands_with_real_settings_and_no_rights(name: str) -> None:
    service = OURS[name]
    parsed(service["command"])
    assert {one.removesuffix("_FILE") for one in service["environment"]} <= set(NAMES)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["stop_grace_period"] == "40s"
    assert service["mem_limit"]
    assert service["cpus"]


def test_secrets_of_compose_are_files_that_exist_in_its_list_and_stand_nowhere_else() -> None:
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        for name, value in service.get("environment", {}).items():
            if str(value).startswith("/run/secrets/"):
                assert Path(value).name in service["secrets"], name
            secret = re.search(r"SECRET|TOKEN|PRIVATE_KEY|WRITE_KEY|READ_KEY|PASSWORD|DATABASE_URL", name)
            assert not secret or name.endswith("_FILE"), name
    assert all(one["file"].startswith("./secrets/") for one in COMPOSE["secrets"].values())


def test_only_the_proxy_has_a_door_and_the_database_is_alone_with_us() -> None:
    assert [name for name, one in COMPOSE["services"].items() if "ports" in one] == ["proxy"]
    assert COMPOSE["networks"]["store"]["internal"] is True
    assert COMPOSE["services"]["postgres"]["networks"] == ["store"]
    assert "store" not in COMPOSE["services"]["proxy"]["networks"]


def test_nothing_serves_before_the_store_was_migrated() -> None:
    for name in ("web", "worker"):
        assert OURS[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert parsed(OURS["migrate"]["command"]).info_name == "migrate"


def test_every_image_has_an_exact_version() -> None:
    images = [one["image"] for one in COMPOSE["services"].values()]
    images += re.findall(r"^ARG PYTHON=(\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert all(re.search(r":\d+\.\d+", image) for image in images), images


def test_the_image_runs_as_nobody_in_particular_and_tells_whether_it_lives() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    last = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    assert "/healthz" in last
    assert "--no-dev" in text
    assert "--frozen" in text
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE))
    wheel = {"app.py", "billing", "integrations", "zendesk", "github_issues"}
    assert wheel <= {name for line in copied for name in line.split()}
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for line in copied for name in line.split()} <= set(ignore)
    assert ignore[1] == "*"


@pytest.mark.parametrize(("name", "pod"), sorted(pods(), key=lambda one: one[0]), ids=lambda one: str(one)[:24])
def test_our_pods_run_real_commands_restricted_with_secrets_closed_to_others(name: str, pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    parsed(container["args"])
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert (pod["securityContext"]["runAsNonRoot"], pod["automountServiceAccountToken"]) == (True, False)
    assert pod["terminationGracePeriodSeconds"] == 40
    assert container["resources"]["limits"]["memory"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert volumes["secrets"]["secret"]["defaultMode"] & READABLE_BY_OTHERS == 0
    assert {one["name"] for one in container["volumeMounts"]} == set(volumes)


def test_settings_of_kubernetes_exist_and_their_files_are_in_the_secret() -> None:
    settings = KUBERNETES["ConfigMap", "billing-desk"]["data"]
    assert {name.removesuffix("_FILE") for name in settings} <= set(NAMES)
    held = set(KUBERNETES["Secret", "billing-desk"]["stringData"])
    assert {Path(value).name for name, value in settings.items() if name.endswith("_FILE")} == held


def test_long_running_pods_have_the_probes_of_the_contract_two_of_each_and_one_stays() -> None:
    for role in ("web", "worker"):
        deployment = KUBERNETES["Deployment", f"billing-desk-{role}"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        port = str(container["ports"][0]["containerPort"])
        assert port in container["args"]
        assert deployment["spec"]["replicas"] == 2
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        budget = KUBERNETES["PodDisruptionBudget", f"billing-desk-{role}"]["spec"]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert budget["selector"]["matchLabels"].items() <= labels.items()


def test_the_ingress_passes_on_every_address_but_those_of_the_inside() -> None:
    paths = KUBERNETES["Ingress", "billing-desk"]["spec"]["rules"][0]["http"]["paths"]

    def passes(address: str) -> bool:
        return any(
            address == one["path"] or (one["pathType"] == "Prefix" and address.startswith(one["path"] + "/"))
            for one in paths
        )

    for route in ROUTES:
        assert passes(route.path) is (route.path not in INSIDE), route.path


def test_the_proxy_keeps_the_addresses_of_the_inside_to_itself() -> None:
    text = (DEPLOY / "proxy" / "Caddyfile").read_text(encoding="utf-8")
    assert f"@inside path {' '.join(sorted(INSIDE))}\n" in text
    assert "respond @inside 404" in text
    assert "X-Request-Id" in text


@pytest.mark.parametrize("path", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda path: path.name)
def test_the_units_run_real_commands_hardened_with_secrets_handed_over(path: Path) -> None:
    lines = [line.partition("=")[::2] for line in path.read_text(encoding="utf-8").splitlines() if "=" in line]
    for name, value in lines:
        if name in {"ExecStart", "ExecStartPre"}:
            parsed(value.replace("%i", "1").split()[1:])
        if name == "Environment":
            setting, _, file = value.partition("=")
            assert setting.removesuffix("_FILE") in NAMES
            assert any(kind == "LoadCredential" and one.startswith(Path(file).name + ":") for kind, one in lines)
    assert {("NoNewPrivileges", "yes"), ("ProtectSystem", "strict"), ("CapabilityBoundingSet", "")} <= set(lines)
    assert ("TimeoutStopSec", "40") in lines
