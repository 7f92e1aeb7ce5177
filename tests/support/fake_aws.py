"""AWS on loopback as far as an identity and a secret go: Secrets Manager, STS, instance metadata, the container's endpoint.

Every signed call is checked by signing what arrived once more, with the secret that belongs to the access key.
"""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support.web import Asked, Told, Web

ROLE = "arn:aws:iam::123456789012:role/models"


class FakeAws(Web):
    """`keys` are the access keys that are good, with secret and session token; what is issued joins them."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.keys: dict[str, tuple[str, str | None]] = {"AKIASTATIC": ("canary-static-secret", None)}
        self.secrets: dict[tuple[str, str], dict[str, Any]] = {}
        self.fault: Told | None = None
        self.issued = 0
        self.lasts_s = 3600.0
        self.external_id: str | None = None
        self.instance = True

    @property
    def reads(self) -> int:
        return sum("x-amz-target" in asked.headers for asked in self.asked)

    def put(self, name: str, *, version: str = "v1", stage: str = "AWSCURRENT", **value: Any) -> None:
        self.secrets[name, stage] = {"Name": name, "VersionId": version, "VersionStages": [stage], **value}

    def issue(self) -> dict[str, str]:
        """Make temporary keys."""
        self.issued += 1
        made = {
            "AccessKeyId": f"ASIAISSUED{self.issued}",
            "SecretAccessKey": f"canary-issued-secret-{self.issued}",
            "SessionToken": f"canary-session-{self.issued}",
        }
        self.keys[made["AccessKeyId"]] = (made["SecretAccessKey"], made["SessionToken"])
        return made

    @property
    def ends(self) -> str:
        return (datetime.now(UTC) + timedelta(seconds=self.lasts_s)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _answer(self, asked: Asked) -> Told:
        if self.fault is not None:
            return self.fault
        if asked.headers.get("x-amz-target") == "secretsmanager.GetSecretValue":
            return self._secret(asked)
        if asked.method == "POST":
            return self._token_service(asked)
        if asked.path.startswith("/latest/"):
            return self._metadata(asked)
        if asked.path == "/container":
            if asked.headers.get("authorization") != "canary-container-token":
                return Told(401, {"code": "no", "message": "no"})
            made = self.issue()
            return Told(body={**made, "Token": made.pop("SessionToken"), "Expiration": self.ends, "RoleArn": ROLE})
        return Told(404, b"")

    def _metadata(self, asked: Asked) -> Told:
        if not self.instance:
            return Told(404, b"")
        if asked.path == "/latest/api/token":
            return Told(200, b"canary-imds-token") if asked.method == "PUT" else Told(405, b"")
        if asked.headers.get("x-aws-ec2-metadata-token") != "canary-imds-token":
            return Told(401, b"")  # version 1 is off
        if asked.path == "/latest/meta-data/iam/security-credentials/":
            return Told(200, b"the-role")
        made = self.issue()
        return Told(
            body={
                "Code": "Success",
                "Type": "AWS-HMAC",
                **made,
                "Token": made.pop("SessionToken"),
                "Expiration": self.ends,
            }
        )

    def _token_service(self, asked: Asked) -> Told:
        action = asked.form["Action"]
        if action == "AssumeRole":
            if not self.signed(asked, "sts"):
                return _refused("SignatureDoesNotMatch")
            if asked.form["RoleArn"] != ROLE or asked.form.get("ExternalId") != self.external_id:
                return _refused("AccessDenied")
        elif asked.form["WebIdentityToken"] != "canary-web-identity":
            return _refused("InvalidIdentityToken")
        made = self.issue()
        members = "".join(f"<{name}>{value}</{name}>" for name, value in {**made, "Expiration": self.ends}.items())
        result = f"<{action}Result><Credentials>{members}</Credentials></{action}Result>"
        namespace = "https://sts.amazonaws.com/doc/2011-06-15/"
        return Told(200, f'<{action}Response xmlns="{namespace}">{result}</{action}Response>'.encode())

    def _secret(self, asked: Asked) -> Told:
        if not self.signed(asked, "secretsmanager"):
            return Told(400, {"__type": "UnrecognizedClientException", "message": "canary"})
        wanted = asked.json
        found = self.secrets.get((wanted["SecretId"], wanted.get("VersionStage", "AWSCURRENT")))
        if found is None:
            return Told(400, {"__type": "com.amazonaws.secretsmanager#ResourceNotFoundException", "Message": "canary"})
        return Told(body={"ARN": "arn", "CreatedDate": 1.5e9, **found})

    def signed(self, asked: Asked, service: str) -> bool:
        """Whether the signature is what the keys make of the request that arrived."""
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([a-z0-9-]+)/([a-z]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), "
            r"Signature=([0-9a-f]{64})",
            asked.headers.get("authorization", ""),
        )
        if found is None or found[1] not in self.keys or found[3] != service:
            return False
        secret, token = self.keys[found[1]]
        if asked.headers.get("x-amz-security-token") != token or "host" not in found[4].split(";"):
            return False
        self.region = found[2]
        headers = {name: asked.headers[name] for name in found[4].split(";")}
        request = AWSRequest(asked.method, f"http://{asked.headers['host']}{asked.target}", headers, data=asked.body)
        request.context["timestamp"] = asked.headers["x-amz-date"]
        auth = SigV4Auth(Credentials(found[1], secret, token), service, found[2])
        return bool(found[5] == auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))


def _refused(code: str) -> Told:
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>canary</Message></Error></ErrorResponse>"
    )
    return Told(403, body.encode())


def empty_environment(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Leave nothing of the machine's own AWS configuration."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(directory / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(directory / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def static_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put good keys into the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASTATIC")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-static-secret")
