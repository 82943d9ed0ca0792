"""skaffold.yaml: build the image, test it, deploy the chart. Rule: in development a part's own folder is synced."""

from typing import Any

from patriot.deploy.parts import Document

IMAGE = "ghcr.io/patriot-trading/patriot"
CHART = "charts/patriot"
ENVIRONMENTS = ("dev", "staging", "production")


def skaffold(parts: Document) -> Document:
    return {
        "apiVersion": "skaffold/v4beta13",
        "kind": "Config",
        "metadata": {"name": "patriot"},
        "build": {
            "tagPolicy": {"gitCommit": {"variant": "CommitSha", "ignoreChanges": False}},
            "artifacts": [_artifact(parts)],
            "local": {"push": False, "useBuildkit": True},
        },
        "test": [{"image": IMAGE, "custom": [{"command": "make check", "timeoutSeconds": 900}]}],
        "deploy": {"helm": {"releases": [_release("dev")]}, "statusCheckDeadlineSeconds": 600},
        "portForward": [
            {
                "resourceType": "service",
                "resourceName": "gateway",
                "namespace": "patriot-dev",
                "port": 443,
                "localPort": 8443,
            }
        ],
        "profiles": [_profile(name) for name in ENVIRONMENTS],
    }


def _artifact(parts: Document) -> Document:
    """A change of one part reaches the running containers without a build; `requirements.lock` needs one."""
    folders = [part["folder"] for part in parts["functions"]]
    folders += [folder for host in parts["hosts"] for folder in host["folders"]]
    return {
        "image": IMAGE,
        "context": ".",
        "docker": {"dockerfile": "Containerfile"},
        "sync": {"manual": [{"src": f"{folder}/**/*.py", "dest": "/app"} for folder in sorted(folders)]},
    }


def _release(environment: str) -> Document:
    return {
        "name": "patriot",
        "chartPath": CHART,
        "namespace": f"patriot-{environment}",
        "createNamespace": True,
        "valuesFiles": [f"{CHART}/values-{environment}.yaml"],
        "setValueTemplates": {
            "image.repository": "{{.IMAGE_REPO}}",
            "image.tag": "{{.IMAGE_TAG}}",
            "image.digest": "{{.IMAGE_DIGEST}}",
        },
        "upgradeOnChange": True,
        "wait": True,
    }


def _profile(environment: str) -> dict[str, Any]:
    build: Document = {"local": {"push": environment != "dev", "useBuildkit": True}}
    return {
        "name": environment,
        "activation": [{"command": environment}] if environment == "dev" else [],
        "build": build,
        "deploy": {"helm": {"releases": [_release(environment)]}},
    }
