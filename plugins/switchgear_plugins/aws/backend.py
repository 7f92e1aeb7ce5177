"""The gateway's own AWS identity as a credential: short-lived keys of the standard chain, or of a role it may assume.

The chain is botocore's: environment, profile, SSO, web identity, ECS/EKS, instance metadata
(https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html). It blocks, and calls AWS's identity services
itself, at addresses that come from the machine's configuration; a credential says no more of them than the region.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from switchgear.ambient import Ambient
from switchgear.contracts.credential import Secret
from switchgear.errors import SecretUnavailable

_THREADS = 4
_DEFAULT_REGION = "us-east-1"
"""Of STS where none is configured; a role's keys are the same from every region."""


class AwsSource(Struct, frozen=True, forbid_unknown_fields=True, tag_field="backend", tag="aws"):
    """Which identity: that of the standard chain, of a profile, or of a role that this one may assume.

    `external_id` and `session_name` belong to `role_arn`; `region` is that of the token service.
    """

    profile: Annotated[str, Meta(min_length=1)] | None = None
    role_arn: Annotated[str, Meta(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$")] | None = None
    external_id: Annotated[str, Meta(pattern=r"^[\w+=,.@:/-]{2,1224}$")] | None = None
    session_name: Annotated[str, Meta(pattern=r"^[\w+=,.@-]{2,64}$")] | None = None
    region: Annotated[str, Meta(pattern="^[a-z0-9]+(-[a-z0-9]+)+$", max_length=40)] | None = None

    def __post_init__(self) -> None:
        if self.role_arn is None and (self.external_id is not None or self.session_name is not None):
            raise ValueError(
                "`external_id` and `session_name` say how `role_arn` is assumed; name the role, or leave them out"
            )


class _Keys(Struct, frozen=True, eq=False):
    access_key: str
    secret_key: str
    token: str | None
    expires: datetime | None

    def __repr__(self) -> str:
        return "_Keys(***)"


class AwsBackend:
    """Asks the chain anew at every fetch, so that changed files and roles are seen; the kernel keeps what it says."""

    source_type: type[Struct] = AwsSource
    secret_fields: tuple[str, ...] = ()

    def __init__(self, ambient: Ambient) -> None:
        self._ambient = ambient
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="aws")

    async def fetch(self, credential_id: str, source: AwsSource) -> Secret:
        """Return `access_key_id`, `secret_access_key` and, of keys that end, `session_token` and when.

        Raises `SecretUnavailable` when there is no identity, the role may not be assumed, or the keys have ended.
        """
        loop = asyncio.get_running_loop()
        try:
            keys = await loop.run_in_executor(self._threads, _resolve, source)
        except SecretUnavailable as error:
            raise SecretUnavailable(f"credential {credential_id}: {error}") from None
        expires_us = None if keys.expires is None else int(keys.expires.timestamp() * 1_000_000)
        if expires_us is not None and expires_us <= self._ambient.now_us():
            raise SecretUnavailable(
                f"credential {credential_id}: the AWS keys found have ended; check the machine's clock"
            )
        values = {"access_key_id": keys.access_key, "secret_access_key": keys.secret_key}
        if keys.token:
            values["session_token"] = keys.token
        return Secret(values, expires_us=expires_us)

    def close(self) -> None:
        """Let the threads go; what they are at ends by its own timeouts."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _resolve(source: AwsSource) -> _Keys:
    """Return the keys. Blocks, and imports botocore (200 ms) the first time."""
    from botocore.config import Config  # noqa: PLC0415 - as the docstring says
    from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound  # noqa: PLC0415 - likewise
    from botocore.session import Session  # noqa: PLC0415 - likewise

    # What botocore logs for debugging holds keys.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    try:
        session = Session(profile=source.profile)
        session.set_default_client_config(Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2}))
        if source.region is not None:
            session.set_config_variable("region", source.region)
        return _found(session) if source.role_arn is None else _assumed(session, source)
    except ProfileNotFound:
        raise SecretUnavailable(f"the AWS configuration has no profile {source.profile}: correct `profile`") from None
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        role = f" {source.role_arn}" if source.role_arn else ""
        raise SecretUnavailable(
            f"AWS refuses the role{role} ({code[:60]}): check its trust policy, `external_id`, and that the gateway's own "
            "identity may assume it"
        ) from None
    except (BotoCoreError, RuntimeError, KeyError, ValueError, OSError) as error:
        # botocore lets these pass when an answer or a file is not what it should be. Their words may quote it.
        raise SecretUnavailable(
            f"the AWS identity cannot be got now ({type(error).__name__}): check the AWS configuration of the gateway's machine, "
            "and that its identity services answer"
        ) from None


def _found(session: Any) -> _Keys:
    found = session.get_credentials()
    if found is None:
        raise SecretUnavailable(
            "the gateway has no AWS identity: neither environment, profile, web identity, container nor instance gives one. "
            "Set one up, or name a `profile`"
        )
    keys = found.get_frozen_credentials()
    # botocore has no public name for it; keys that never end have none at all.
    return _Keys(keys.access_key, keys.secret_key, keys.token, getattr(found, "_expiry_time", None))


def _assumed(session: Any, source: AwsSource) -> _Keys:
    region = session.get_config_variable("region") or _DEFAULT_REGION
    _found(session)  # says more of an identity that is missing than the call would
    asked = {"RoleArn": source.role_arn, "RoleSessionName": source.session_name or "switchgear"}
    if source.external_id is not None:
        asked["ExternalId"] = source.external_id
    client = session.create_client("sts", region_name=region)
    try:
        keys = client.assume_role(**asked)["Credentials"]
    finally:
        client.close()
    return _Keys(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], keys["Expiration"])
