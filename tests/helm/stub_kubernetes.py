"""The part of the Kubernetes API that a Helm install needs, on loopback: it lists the
kinds, stores created objects, and returns them."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KINDS = {
    "v1": {
        "configmaps": "ConfigMap",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "pods": "Pod",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    "apps/v1": {"deployments": "Deployment", "statefulsets": "StatefulSet"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "gateway.networking.k8s.io/v1": {"httproutes": "HTTPRoute"},
    "monitoring.coreos.com/v1": {
        "prometheusrules": "PrometheusRule",
        "servicemonitors": "ServiceMonitor",
    },
    "networking.k8s.io/v1": {"ingresses": "Ingress", "networkpolicies": "NetworkPolicy"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
}
PLURALS = {plural for kinds in KINDS.values() for plural in kinds}


def groups():
    named = [version for version in KINDS if "/" in version]
    return [
        {
            "name": version.split("/")[0],
            "versions": [{"groupVersion": version, "version": version.split("/")[1]}],
            "preferredVersion": {"groupVersion": version, "version": version.split("/")[1]},
        }
        for version in named
    ]


def resources(version):
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    return [
        {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": verbs}
        for plural, kind in KINDS[version].items()
    ]


def patched(known, patch):
    if not isinstance(known, dict) or not isinstance(patch, dict):
        return patch
    return known | {key: patched(known.get(key), value) for key, value in patch.items()}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stored = {}

    def log_message(self, *arguments):
        pass

    def answer(self, body, status=200):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        path = self.path.split("?")[0].rstrip("/")
        if path == "/version":
            return self.answer({"major": "1", "minor": "33", "gitVersion": "v1.33.0"})
        if path == "/api":
            return self.answer({"kind": "APIVersions", "versions": ["v1"]})
        if path == "/apis":
            return self.answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups()})
        version = re.fullmatch(r"/apis?/(.+)", path)
        if version and version.group(1) in KINDS:
            listed = resources(version.group(1))
            return self.answer(
                {
                    "kind": "APIResourceList",
                    "apiVersion": "v1",
                    "groupVersion": version.group(1),
                    "resources": listed,
                }
            )
        if path in self.stored:
            return self.answer(self.stored[path])
        last = path.split("/")[-1]
        if re.fullmatch(r"/api/v1/namespaces/[^/]+", path):
            return self.answer({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": last}})
        if last in PLURALS:
            return self.answer({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []})
        self.answer({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}, 404)

    def take(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def do_POST(self):
        body = self.take()
        self.stored[f"{self.path.split('?')[0]}/{body['metadata']['name']}"] = body
        self.answer(body, 201)

    def do_PUT(self):
        body = self.take()
        self.stored[self.path.split("?")[0]] = body
        self.answer(body)

    def do_PATCH(self):
        path = self.path.split("?")[0]
        self.stored[path] = patched(self.stored.get(path, {}), self.take())
        self.answer(self.stored[path])

    def do_DELETE(self):
        self.stored.pop(self.path.split("?")[0], None)
        self.answer({"kind": "Status", "status": "Success"})


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
