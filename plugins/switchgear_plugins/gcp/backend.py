"""The gateway's own Google Cloud identity as a credential: access tokens of the default chain, or of an account it impersonates.

The chain is google-auth's: GOOGLE_APPLICATION_CREDENTIALS, the gcloud login, the metadata server
(https://cloud.google.com/docs/authentication/application-default-credentials). It blocks, and calls Google's token services
itself, at addresses that come from the machine's configuration and never from a credential.
"""

import asyncio
import os.path
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from fnmatch import fnmatchcase
from typing import Annotated, Any

from msgspec import Meta, Struct

from switchgear.ambient import Ambient
from switchgear.contracts.credential import Secret
from switchgear.errors import SecretUnavailable
from switchgear_plugins.gcp.settings import GcpSettings

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
_THREADS = 4
_TIMEOUT_S = 5.0
_LIFETIME_S = 3600


class GcpSource(Struct, frozen=True, forbid_unknown_fields=True, tag_field="backend", tag="gcp"):
    """Which identity: that of the default chain or of a file on the gateway's machine, or one that this one impersonates."""

    scopes: Annotated[tuple[Annotated[str, Meta(pattern=r"^[!-~]+$")], ...], Meta(min_length=1)] = (CLOUD_PLATFORM,)
    impersonate: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+$")] | None = None
    credentials_file: Annotated[str, Meta(min_length=1)] | None = None


class GcpBackend:
    """Asks for a token at every fetch; the kernel keeps it until it nears its end."""

    source_type: type[Struct] = GcpSource
    secret_fields: tuple[str, ...] = ()

    def __init__(self, settings: GcpSettings, ambient: Ambient) -> None:
        self._files = settings.credentials_files
        self._ambient = ambient
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="gcp")

    async def fetch(self, credential_id: str, source: GcpSource) -> Secret:
        """Return `access_token`, when it ends, and `project_id` where the identity says it.

        Raises `SecretUnavailable` when there is no identity, it may not be used so, or its token has ended.
        """
        if source.credentials_file is not None and not self._may_read(source.credentials_file):
            raise SecretUnavailable(
                f"credential {credential_id}: {source.credentials_file} is not one of `credentials_files` of the plugin gcp "
                "in plugins.toml"
            )
        loop = asyncio.get_running_loop()
        try:
            secret = await loop.run_in_executor(self._threads, _resolve, source)
        except SecretUnavailable as error:
            raise SecretUnavailable(f"credential {credential_id}: {error}") from None
        if secret.expires_us is not None and secret.expires_us <= self._ambient.now_us():
            raise SecretUnavailable(f"credential {credential_id}: Google's token has ended; check the machine's clock")
        return secret

    def _may_read(self, file: str) -> bool:
        plain = file.startswith("/") and os.path.normpath(file) == file
        return plain and any(fnmatchcase(file, pattern) for pattern in self._files)

    def close(self) -> None:
        """Let the threads go; what they are at ends by its own timeouts."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _resolve(source: GcpSource) -> Secret:
    """Return a token. Blocks, and imports google-auth and requests (200 ms) the first time."""
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError  # noqa: PLC0415 - as the docstring says
    from google.auth.transport.requests import Request  # noqa: PLC0415 - likewise

    class Bounded(Request):
        """Waits for no answer longer than the kernel waits for a secret; two minutes are the default."""

        def __call__(self, *args: Any, **options: Any) -> Any:
            send: Any = super().__call__
            return send(*args, **{**options, "timeout": min(options.get("timeout") or _TIMEOUT_S, _TIMEOUT_S)})

    request = Bounded()
    try:
        identity, project = _identity(source, request)
        identity.refresh(request)
    except DefaultCredentialsError:
        raise SecretUnavailable(
            f"the file {source.credentials_file} is missing or holds no Google credentials: correct `credentials_file`"
            if source.credentials_file is not None
            else "the gateway has no Google Cloud identity: set GOOGLE_APPLICATION_CREDENTIALS, run it where there is a metadata "
            "server, or say `credentials_file`"
        ) from None
    except (GoogleAuthError, OSError, ValueError, KeyError, TypeError) as error:
        # google-auth lets these pass when an answer or a file is not what it should be. Their words may quote it.
        account = (
            f" for {source.impersonate}: the gateway's identity needs the role Service Account Token Creator on it"
            if source.impersonate
            else ""
        )
        raise SecretUnavailable(
            f"Google gives no token now ({type(error).__name__}){account}; check the identity of the gateway's machine, and that "
            "Google's token services answer"
        ) from None
    finally:
        request.session.close()
    values = {"access_token": identity.token}
    if project:
        values["project_id"] = project
    ends = identity.expiry
    return Secret(values, expires_us=None if ends is None else int(ends.replace(tzinfo=UTC).timestamp() * 1_000_000))


def _identity(source: GcpSource, request: Any) -> tuple[Any, str | None]:
    import google.auth  # noqa: PLC0415 - as above
    from google.auth import impersonated_credentials  # noqa: PLC0415 - as above

    if source.credentials_file is None:
        own, project = google.auth.default(scopes=source.scopes, request=request)
    else:
        # Deprecated for files from elsewhere; these are the operator's own, on the gateway's machine.
        load: Any = google.auth.load_credentials_from_file
        own, project = load(source.credentials_file, source.scopes, request=request)
    if source.impersonate is None:
        return own, project
    impersonated: Any = impersonated_credentials.Credentials
    return impersonated(own, source.impersonate, list(source.scopes), lifetime=_LIFETIME_S), project
