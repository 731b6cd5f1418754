"""What stands in ``collectors/`` to be deployed is what the code reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import otelkit
from otelkit.collect import settings

COLLECTORS = Path(__file__).parents[2] / "collectors"
KUBERNETES = COLLECTORS / "kubernetes"
MOST = {"shards": 16, "lease": 15.0}
"""What both ways to deploy agree on."""


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def kubernetes(kind: str) -> dict[str, Any]:
    every = [one for path in sorted(KUBERNETES.glob("*.yaml")) for one in documents(path)]
    (found,) = [one for one in every if one["kind"] == kind]
    return found


def agreed(found: settings.Settings) -> dict[str, Any]:
    return {"shards": found.shards, "lease": found.lease.total_seconds()}


@pytest.mark.parametrize("name", ["collector.yaml", "secret.yaml"])
def test_kubernetes_takes_the_manifests(name: str) -> None:
    for document in documents(KUBERNETES / name):
        kubernetes_validate.validate(document, "1.31", strict=True)


def test_the_pods_read_their_settings(tmp_path: Path) -> None:
    path = tmp_path / "collector.yaml"
    path.write_text(kubernetes("ConfigMap")["data"]["collector.yaml"])
    (container,) = kubernetes("Deployment")["spec"]["template"]["spec"]["containers"]
    environ = dict(kubernetes("Secret")["stringData"])
    environ |= {one["name"]: one.get("value", "10.0.0.7") for one in container["env"]}
    environ["OTELKIT_COLLECTOR_ADVERTISE"] = environ["OTELKIT_COLLECTOR_ADVERTISE"].replace(
        "$(POD_IP)", environ["POD_IP"]
    )
    found = settings.load(path, environ)
    assert agreed(found) == MOST
    assert found.url == "http://10.0.0.7:9465"
    assert found.management is not None


def test_what_watches_and_balances_pods_finds_them() -> None:
    pod = kubernetes("Deployment")["spec"]["template"]
    labels = pod["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget", "PodMonitor"):
        assert kubernetes(kind)["spec"]["selector"]["matchLabels"] == labels
    assert kubernetes("Service")["spec"]["selector"] == labels
    (container,) = pod["spec"]["containers"]
    (secret,) = container["envFrom"]
    assert secret["secretRef"]["name"] == kubernetes("Secret")["metadata"]["name"]
    (port,) = container["ports"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    (endpoint,) = kubernetes("PodMonitor")["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["honorLabels"]) == (port["name"], True)


def test_the_compose_file_starts_collectors_that_read_their_settings() -> None:
    (compose,) = documents(COLLECTORS / "compose.yaml")
    services = compose["services"]
    collectors = {name: one for name, one in services.items() if name.startswith("collector-")}
    assert len(collectors) == 3
    for name, one in collectors.items():
        environ = {
            key: value.replace("${OTELKIT_PASSWORD:?}", "pw").replace("${OTELKIT_TOKEN:?}", "t")
            for key, value in one["environment"].items()
        }
        mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in one["volumes"]}
        found = settings.load(COLLECTORS / mounted["/etc/otelkit/collector.yaml"], environ)
        assert agreed(found) == MOST
        assert found.url == f"http://{name}:9465"
        assert set(one["depends_on"]) <= set(services)
        assert (COLLECTORS / mounted["/etc/otelkit/sla.yaml"]).is_file()
        assert (COLLECTORS / one["build"]["context"] / one["build"]["dockerfile"]).is_file()
    used = {volume.split(":")[0] for one in services.values() for volume in one.get("volumes", ())}
    assert {name for name in used if "/" not in name} == set(compose["volumes"])


def test_prometheus_beside_them_scrapes_each_and_keeps_its_instances() -> None:
    (compose,) = documents(COLLECTORS / "compose.yaml")
    (prometheus,) = documents(COLLECTORS / "prometheus.yaml")
    (job,) = prometheus["scrape_configs"]
    (static,) = job["static_configs"]
    names = [f"{name}:9465" for name in compose["services"] if name.startswith("collector-")]
    assert (static["targets"], job["honor_labels"]) == (names, True)


def test_every_place_names_the_image_of_this_version() -> None:
    name = f"otelkit-collector:{otelkit.__version__}"
    (compose,) = documents(COLLECTORS / "compose.yaml")
    (container,) = kubernetes("Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == compose["services"]["collector-1"]["image"] == name
    assert f"-t {name} ." in (COLLECTORS / "Containerfile").read_text()


def test_the_image_runs_the_command_with_the_files_that_are_mounted() -> None:
    text = (COLLECTORS / "Containerfile").read_text()
    (command,) = [line for line in text.splitlines() if line.startswith("CMD")]
    for path in ("/etc/otelkit/sla.yaml", "/etc/otelkit/collector.yaml"):
        assert path in command
    assert "USER 10001" in text
