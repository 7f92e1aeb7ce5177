"""The gateway's own identity at AWS, and requests signed with it. Everything here blocks and runs in one thread of its own.

The standard chain is botocore's: environment, profile, SSO, web identity, ECS/EKS, instance metadata. It calls AWS's identity
services itself, at addresses that come from the machine's configuration and never from a credential.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec import Struct

from switchgear.errors import SecretUnavailable
from switchgear_plugins.aws_secrets.settings import AwsSecretsSettings

SERVICE = "secretsmanager"


class Signed(Struct, frozen=True, eq=False):
    """A request ready to be sent as it is."""

    url: str
    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"Signed({self.url})"


class Identity:
    """Signs requests. Keys that end are renewed by botocore before they do."""

    def __init__(self, settings: AwsSecretsSettings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="aws_secrets")
        self._session: Any = None
        self._keys: Any = None
        self._urls: dict[str, str] = {}

    async def sign(self, region: str | None, target: str, body: bytes, *, anew: bool = False) -> Signed:
        """Sign a call of the operation `target`, with the keys found `anew` if those before were refused.

        Raises `SecretUnavailable` when there is no identity or no region.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._sign, region, target, body, anew)

    def close(self) -> None:
        """Let the thread go; what it is at ends by its own timeouts."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _sign(self, region: str | None, target: str, body: bytes, anew: bool) -> Signed:  # noqa: FBT001 - run_in_executor takes no keywords
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - botocore takes 200 ms to import, off the event loop
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - likewise
        from botocore.exceptions import BotoCoreError, ClientError, InvalidRegionError  # noqa: PLC0415 - likewise

        try:
            if self._keys is None or anew:
                self._find()
            keys = None if self._keys is None else self._keys.get_frozen_credentials()
            region = region or self._settings.region or self._session.get_config_variable("region")
            url = None if region is None else self._url(region)
        except InvalidRegionError:
            raise SecretUnavailable(f"{region} is no AWS region: correct `region`, or the ARN in `secret_id`") from None
        except (BotoCoreError, ClientError, RuntimeError, KeyError, ValueError, OSError) as error:
            # botocore lets these pass when an answer or a file is not what it should be. Their words may quote it.
            raise SecretUnavailable(
                f"the gateway has no AWS identity now ({type(error).__name__}): check the AWS configuration of its machine and "
                "`profile` of [plugins.aws_secrets]"
            ) from None
        if keys is None:
            raise SecretUnavailable(
                "the gateway has no AWS identity: neither environment, profile, container nor instance gives one. Set one up, "
                "or name a `profile` in [plugins.aws_secrets]"
            )
        if region is None or url is None:
            raise SecretUnavailable(
                "no AWS region is known: say `region` in [plugins.aws_secrets] or in the credential"
            )
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
        request = AWSRequest("POST", url, headers, data=body)
        SigV4Auth(keys, SERVICE, region).add_auth(request)
        return Signed(request.url, dict(request.headers.items()))

    def _find(self) -> None:
        from botocore.config import Config  # noqa: PLC0415 - as above
        from botocore.session import Session  # noqa: PLC0415 - as above

        # What botocore logs for debugging holds keys.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        self._keys = None
        self._session = Session(profile=self._settings.profile)
        self._session.set_default_client_config(
            Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
        )
        self._keys = self._session.get_credentials()

    def _url(self, region: str) -> str:
        if self._settings.endpoint_url is not None:
            return self._settings.endpoint_url.rstrip("/") + "/"
        if region not in self._urls:
            client = self._session.create_client(SERVICE, region_name=region)  # 50 ms, for its address
            self._urls[region] = client.meta.endpoint_url.rstrip("/") + "/"
            client.close()
        return self._urls[region]
