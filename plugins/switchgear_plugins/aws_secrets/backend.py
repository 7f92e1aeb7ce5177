"""Secrets of AWS Secrets Manager (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from switchgear.contracts.credential import FieldChoice, Secret
from switchgear.errors import EgressDenied, SecretUnavailable, UpstreamError
from switchgear_plugins.aws_secrets.identity import SERVICE, Identity

if TYPE_CHECKING:
    import httpx

Region = Annotated[str, Meta(pattern="^[a-z0-9]+(-[a-z0-9]+)+$", max_length=40)]

_OK = 200
_ARN_PARTS = 7
_STALE = frozenset(
    {
        "ExpiredTokenException",
        "ExpiredToken",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
    }
)
"""Errors that other keys may mend."""

_WHY: Mapping[str, str] = MappingProxyType(
    {
        "ResourceNotFoundException": "is not there: check `secret_id`, `version_stage` and `region`",
        "InvalidRequestException": "cannot be read in its state: restore it if it is marked for deletion, and give it a value",
        "InvalidParameterException": "is not named as Secrets Manager takes it: check `secret_id` and `version_stage`",
        "AccessDeniedException": "may not be read: allow the gateway's identity secretsmanager:GetSecretValue on it, and "
        "kms:Decrypt on its key",
        "DecryptionFailure": "cannot be decrypted: check its KMS key and that the gateway's identity may use it",
        "ThrottlingException": "is asked for too often by this account; it is tried again",
        "ExpiredTokenException": "is refused because the gateway's AWS keys have ended: renew them",
        "UnrecognizedClientException": "is refused because AWS does not know the gateway's keys: check its AWS configuration",
        "InvalidSignatureException": "is refused because of the signature: check the secret key, and the machine's clock",
    }
)


class AwsSecretsSource(FieldChoice, frozen=True, forbid_unknown_fields=True, tag_field="backend", tag="aws_secrets"):
    """Which secret: its name or ARN, at `AWSCURRENT` unless another stage is named.

    The region is this one, that of an ARN, or that of plugins.toml. A secret that is no JSON object is the `api_key` as it is.
    """

    secret_id: Annotated[str, Meta(min_length=1, max_length=2048)]
    version_stage: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    region: Region | None = None


class _Value(Struct, frozen=True, rename="pascal"):
    version_id: str = ""
    secret_string: str | None = None


class _Error(Struct, frozen=True):
    type: str = msgspec.field(default="", name="__type")


class AwsSecretsBackend:
    """Reads secrets with the gateway's identity. `client` makes the HTTP client, once, at the first request."""

    source_type: type[Struct] = AwsSecretsSource
    secret_fields: tuple[str, ...] = ()

    def __init__(self, identity: Identity, client: Callable[[], "httpx.AsyncClient"]) -> None:
        self._identity = identity
        self._make_client = client
        self._client: httpx.AsyncClient | None = None

    async def fetch(self, credential_id: str, source: AwsSecretsSource) -> Secret:
        """Return the chosen members. Raises `SecretUnavailable` saying what AWS lacks or refuses."""
        where = f"credential {credential_id}: the secret `{source.secret_id}`"
        try:
            answer = await self._ask(source)
            if answer.status_code != _OK and _code(answer) in _STALE:
                answer = await self._ask(source, anew=True)
        except SecretUnavailable as error:
            raise SecretUnavailable(f"credential {credential_id}: {error}") from error
        if answer.status_code != _OK:
            code = _code(answer)
            named = f"{code}, status {answer.status_code}" if code else f"status {answer.status_code}"
            raise SecretUnavailable(f"{where} {_WHY.get(code, 'is refused or the service fails')} ({named})")
        try:
            value = msgspec.json.decode(answer.content, type=_Value)
        except msgspec.DecodeError as error:
            raise SecretUnavailable(f"{where} cannot be read from what answered: check `endpoint_url`") from error
        if value.secret_string is None:
            raise SecretUnavailable(f"{where} is binary: store it as text or as a JSON object")
        return Secret(_fields(value.secret_string, source, where), value.version_id)

    async def _ask(self, source: AwsSecretsSource, *, anew: bool = False) -> "httpx.Response":
        asked = {"SecretId": source.secret_id}
        if source.version_stage is not None:
            asked["VersionStage"] = source.version_stage
        body = msgspec.json.encode(asked)
        region = source.region or _region_of(source.secret_id)
        signed = await self._identity.sign(region, "secretsmanager.GetSecretValue", body, anew=anew)
        if self._client is None:
            self._client = self._make_client()
        try:
            return await self._client.post(signed.url, content=body, headers=signed.headers)
        except Exception as error:
            cause = error.__cause__
            if not isinstance(cause, (UpstreamError, TimeoutError)):
                raise
            why = str(cause) if isinstance(cause, EgressDenied) else type(cause).__name__
            raise SecretUnavailable(f"Secrets Manager at {signed.url} cannot be reached: {why}") from error


def _region_of(secret_id: str) -> str | None:
    parts = secret_id.split(":", _ARN_PARTS - 1)
    return parts[3] if len(parts) == _ARN_PARTS and parts[0] == "arn" and parts[2] == SERVICE else None


def _fields(text: str, source: AwsSecretsSource, where: str) -> dict[str, str]:
    text = text.rstrip("\r\n")  # what a file that was uploaded ends with
    try:
        members = msgspec.json.decode(text) if text.startswith("{") else None
    except msgspec.DecodeError:
        members = None
    if isinstance(members, dict):
        return source.choose(members, where)
    if source.field is not None or source.fields:
        raise SecretUnavailable(f"{where} is plain text and has no members: leave `field` and `fields` out")
    return FieldChoice().choose({"api_key": text}, where)


def _code(answer: "httpx.Response") -> str:
    """Return the name of an error: `__type` of the body, which may come with a namespace before a `#`."""
    try:
        name = msgspec.json.decode(answer.content, type=_Error).type.rpartition("#")[2]
    except msgspec.DecodeError:
        return ""
    return name if name.isalnum() and len(name) < 60 else ""  # noqa: PLR2004 - longer is no name
