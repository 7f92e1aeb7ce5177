"""Google's token services on loopback: the metadata server, the OAuth token endpoint, the credentials API for impersonation."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import iam, jwt
from google.auth.compute_engine import _metadata

from support.web import Asked, Told, Web

FLAVOR = {"metadata-flavor": "Google"}
PROJECT = "the-project"
AUDIENCE = "https://oauth2.googleapis.com/token"


class FakeGoogle(Web):
    """`account` is what is in a service account's key file; `tokens` counts what was issued."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.tokens = 0
        self.lasts_s = 3600
        self.fault: Told | None = None
        self.targets = {"models@the-project.iam.gserviceaccount.com"}
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def account(self) -> dict[str, Any]:
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": "gateway@the-project.iam.gserviceaccount.com",
            "token_uri": f"{self.url}/token",
        }

    def token(self) -> str:
        self.tokens += 1
        return f"ya29.canary-{self.tokens}"

    def _answer(self, asked: Asked) -> Told:
        if self.fault is not None:
            return self.fault
        if asked.path == "/token":
            return self._exchange(asked)
        if asked.path.startswith("/impersonate/"):
            return self._impersonate(asked)
        if asked.headers.get("metadata-flavor") != "Google":
            return Told(403, b"")
        return self._metadata(asked.path.removeprefix("/computeMetadata/v1/"))

    def _metadata(self, path: str) -> Told:
        if path.endswith("/token"):
            return Told(
                body={"access_token": self.token(), "expires_in": self.lasts_s, "token_type": "Bearer"}, headers=FLAVOR
            )
        if path.startswith("instance/service-accounts/default"):
            body = {"email": "gateway@the-project.iam.gserviceaccount.com", "scopes": [], "aliases": ["default"]}
            return Told(body=body, headers=FLAVOR)
        if path == "project/project-id":
            return Told(body=PROJECT.encode(), headers=FLAVOR)
        return Told(200 if path == "/" else 404, b"", FLAVOR)

    def _exchange(self, asked: Asked) -> Told:
        public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        try:
            self.claims = jwt.decode(asked.form["assertion"], certs=public, audience=AUDIENCE)  # type: ignore[no-untyped-call]
        except ValueError:
            return Told(400, {"error": "invalid_grant", "error_description": "canary"})
        return Told(body={"access_token": self.token(), "expires_in": self.lasts_s, "token_type": "Bearer"})

    def _impersonate(self, asked: Asked) -> Told:
        if asked.headers.get("authorization") != f"Bearer ya29.canary-{self.tokens}":
            return Told(401, {})
        if asked.path.removeprefix("/impersonate/") not in self.targets:
            return Told(403, {"error": {"code": 403, "message": "canary", "status": "PERMISSION_DENIED"}})
        ends = datetime.now(UTC) + timedelta(seconds=self.lasts_s)
        return Told(body={"accessToken": self.token(), "expireTime": ends.strftime("%Y-%m-%dT%H:%M:%SZ")})


def empty_environment(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Leave nothing of the machine's own identity; nobody answers where the metadata server would be."""
    for name in list(os.environ):
        if name.startswith(("GOOGLE_", "GCE_", "CLOUDSDK_", "GCLOUD_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(directory))
    monkeypatch.setattr(_metadata, "_NO_GCE_CHECK", True)


def on_gce(monkeypatch: pytest.MonkeyPatch, google: FakeGoogle) -> None:
    """Let the metadata server be the fake: what GCE_METADATA_HOST and _IP do, of which google-auth reads one at import."""
    monkeypatch.setattr(_metadata, "_NO_GCE_CHECK", False)
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", f"127.0.0.1:{google.port}")
    monkeypatch.setenv("GCE_METADATA_IP", f"127.0.0.1:{google.port}")


def impersonation_at(monkeypatch: pytest.MonkeyPatch, google: FakeGoogle) -> None:
    """Let the credentials API be the fake."""
    monkeypatch.setattr(iam, "_IAM_ENDPOINT", google.url + "/impersonate/{}")


def write_account(google: FakeGoogle, file: Path, **members: Any) -> str:
    """Write a service account's key file; return its path."""
    file.write_text(json.dumps({**google.account, **members}))
    return str(file)
