"""A Vault on loopback as far as the gateway sees it: KV version 2, logins, tokens with leases, namespaces, sealing."""

from typing import Any

from support.web import Asked, Told, Web

DENIED = Told(403, {"errors": ["permission denied"]})
NOTHING = Told(404, {"errors": []})


class FakeVault(Web):
    """`put` writes a secret; `tokens` are good until they are taken out. Namespaces are independent of each other."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.secrets: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.tokens: dict[str, dict[str, Any]] = {"root": {"ttl": 0, "renewable": False}}
        self.logins = 0
        self.renewals = 0
        self.lease_s = 3600
        self.renewable = True
        self.sealed = False
        self.denied: set[str] = set()
        self.namespace = ""
        self.accepts: dict[str, dict[str, str]] = {
            "approle": {"role_id": "role-1", "secret_id": "canary-secret-id"},
            "kubernetes": {"role": "switchgear", "jwt": "canary-jwt"},
        }

    def put(self, path: str, data: Any, namespace: str = "") -> None:
        """Write a new version of `mount/data/name`."""
        versions = self.secrets.setdefault((namespace, path), [])
        metadata = {
            "created_time": f"2026-11-01T00:00:{len(versions):02}.5Z",
            "custom_metadata": None,
            "deletion_time": "",
            "destroyed": False,
            "version": len(versions) + 1,
        }
        versions.append({"data": data, "metadata": metadata})

    def delete(self, path: str, *, destroyed: bool = False) -> None:
        """Delete the newest version."""
        kept = self.secrets["", path][-1]
        kept["data"] = None
        kept["metadata"] |= {"deletion_time": "" if destroyed else "2026-11-02T00:00:00Z", "destroyed": destroyed}

    def revoke(self) -> None:
        """Make every token worthless."""
        self.tokens.clear()

    @property
    def reads(self) -> int:
        return sum("/data/" in asked.path for asked in self.asked)

    def _answer(self, asked: Asked) -> Told:
        if self.sealed:
            return Told(503, {"errors": ["Vault is sealed"]})
        path = asked.path.removeprefix("/v1/")
        namespace = asked.headers.get("x-vault-namespace", "")
        if path.startswith("auth/") and path.endswith("/login"):
            return self._log_in(path.split("/")[1], asked, namespace)
        token = self.tokens.get(asked.headers.get("x-vault-token", ""))
        if token is None:
            return DENIED
        if path == "auth/token/lookup-self":
            return Told(body={"data": token})
        if path == "auth/token/renew-self":
            self.renewals += 1
            return Told(body={"auth": self._auth(asked.headers["x-vault-token"])})
        return self._read(namespace, path, asked)

    def _log_in(self, mount: str, asked: Asked, namespace: str) -> Told:
        if namespace != self.namespace or asked.json != self.accepts.get(mount):
            return Told(400, {"errors": ["invalid role or secret ID"]})
        self.logins += 1
        token = f"hvs.canary-token-{self.logins}"
        self.tokens[token] = {"ttl": self.lease_s, "renewable": self.renewable}
        return Told(body={"auth": self._auth(token)})

    def _auth(self, token: str) -> dict[str, Any]:
        return {
            "client_token": token,
            "lease_duration": self.lease_s,
            "renewable": self.renewable,
            "policies": ["default"],
        }

    def _read(self, namespace: str, path: str, asked: Asked) -> Told:
        if path in self.denied:
            return DENIED
        versions = self.secrets.get((namespace, path), [])
        wanted = int(asked.query.get("version", len(versions)))
        if not 1 <= wanted <= len(versions):
            return NOTHING
        kept = versions[wanted - 1]
        body = {"lease_id": "", "renewable": False, "lease_duration": 0, "data": kept}
        return Told(404 if kept["data"] is None else 200, body)
