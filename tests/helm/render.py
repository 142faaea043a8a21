"""Renders the chart with the real Helm engine: `render.py [--upgrade] CHART VALUES_FILE...`.

Prints one JSON object: the manifests, the hooks and the notes; or exits 1 and prints why
the values are rejected. HELM_DRIVER=memory must be set in the environment."""

import asyncio
import json
import sys
import tempfile

import helm_sdkpy as helm
import yaml

import stub_kubernetes


def merged(base, over):
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return base | {key: merged(base.get(key), value) for key, value in over.items()}


def main():
    arguments = sys.argv[1:]
    is_upgrade = arguments[0] == "--upgrade"
    chart, *files = arguments[is_upgrade:]
    values = {}
    for file in files:
        with open(file) as text:
            values = merged(values, yaml.safe_load(text))
    server = stub_kubernetes.serve()
    cluster = {"server": f"http://127.0.0.1:{server.server_port}"}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "stub", "cluster": cluster}],
        "users": [{"name": "stub", "user": {}}],
        "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "stub"}}],
        "current-context": "stub",
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(kubeconfig, file)
        file.flush()
        configuration = helm.Configuration(namespace="shop", kubeconfig=file.name)
        install = helm.Install(configuration)
        release = asyncio.run(install.run("release", chart, values=values, wait=False, timeout=30))
        if is_upgrade:
            upgrade = helm.Upgrade(configuration)
            release = asyncio.run(upgrade.run("release", chart, values=values, wait=False, timeout=30))
    hooks = [hook["manifest"] for hook in release.get("hooks") or []]
    documents = list(yaml.safe_load_all(release["manifest"]))
    documents += [yaml.safe_load(hook) for hook in hooks]
    print(json.dumps({"documents": [d for d in documents if d], "notes": release["info"].get("notes")}))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # the SDK raises many kinds
        sys.exit(f"refused: {error}")
