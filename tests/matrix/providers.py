"""The providers of the matrix: how each is set up against the fault upstream, and what its vendor cannot do at all."""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from msgspec import Struct

from support.faultup import FaultUpstream
from support.faultup.dialects import sigv4

NAMES = (
    "openai",
    "openai_compatible",
    "azure_openai",
    "anthropic",
    "bedrock",
    "vertex",
    "vertex_claude",
    "ai_studio",
    "gigachat",
)
ACCOUNT = "matrix@project.iam.gserviceaccount.com"


class Row(Struct, frozen=True, kw_only=True):
    """One provider.

    prefix    what its model names begin with; the scenario follows
    base      the path of its base URL at the upstream
    native    the dialects that are its vendor's own wire, so that members go out as they came in
    parallel  whether its vendor calls several tools at once
    shows     the dialects in which its answers show reasoning
    vectors   the model that embeds; its name is followed by `fault-text`
    """

    type: str
    prefix: str
    base: str
    secret: dict[str, str] = {}
    settings: dict[str, Any] = {}
    native: tuple[str, ...] = ()
    parallel: bool = True
    shows: tuple[str, ...] = ("chat", "responses", "messages")
    vectors: str | None = None

    @property
    def sent(self) -> str:
        """What the model names begin with where they are sent."""
        return self.prefix.rpartition("/")[2]


def rows(upstream: FaultUpstream) -> dict[str, Row]:
    """Return every provider, with credentials that the upstream takes."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    upstream.desk.public_keys[ACCOUNT] = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    account = {
        "type": "service_account",
        "project_id": "matrix-project",
        "client_email": ACCOUNT,
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "token_uri": f"{upstream.url}/token",
    }
    google = {"location": "europe-west4", "project": "matrix-project", "token_uri": f"{upstream.url}/token"}
    return {
        "openai": Row(
            type="openai",
            prefix="gpt-5-",
            base="/v1",
            secret={"api_key": "sk-matrix"},
            shows=("responses",),
            vectors="text-embedding-3-small-",
        ),
        "openai_compatible": Row(
            type="openai_compatible",
            native=("chat",),
            prefix="mixtral-",
            base="/lenient/v1",
            secret={"api_key": "k"},
            vectors="e5-",
        ),
        "azure_openai": Row(
            type="azure_openai",
            native=("chat", "responses"),
            prefix="gpt-5-azure-",
            base="",
            secret={"access_token": upstream.desk.issue()},
            settings={"api_version": "2025-04-01-preview"},
            shows=("responses",),
            vectors="text-embedding-3-azure-",
        ),
        "anthropic": Row(
            type="anthropic",
            native=("messages",),
            prefix="claude-opus-4-5-",
            base="",
            secret={"api_key": "sk-ant-matrix"},
        ),
        "bedrock": Row(
            type="bedrock",
            prefix="anthropic.claude-sonnet-4-5-",
            base="",
            secret={
                "access_key_id": sigv4.ACCESS_KEY,
                "secret_access_key": sigv4.SECRET_KEY,
                "session_token": "session",
            },
            settings={"region": "us-east-1"},
            vectors="cohere.embed-english-v3-",
        ),
        "vertex": Row(
            type="vertex",
            prefix="gemini-2.5-flash-",
            base="",
            secret={"service_account": json.dumps(account)},
            settings=google,
            vectors="text-embedding-005-",
        ),
        "vertex_claude": Row(
            type="vertex",
            native=("messages",),
            prefix="publishers/anthropic/models/claude-haiku-4-5-",
            base="",
            secret={"service_account": json.dumps(account)},
            settings=google,
        ),
        "ai_studio": Row(
            type="vertex",
            prefix="gemini-3-pro-",
            base="",
            secret={"api_key": "AIza-matrix"},
            vectors="gemini-embedding-001-",
        ),
        "gigachat": Row(
            type="gigachat",
            prefix="GigaChat-3-Ultra-",
            base="/api/v1",
            secret={"access_token": upstream.desk.issue()},
            parallel=False,
            vectors="EmbeddingsGigaR-embedding-",
        ),
    }
