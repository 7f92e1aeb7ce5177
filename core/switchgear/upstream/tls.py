"""TLS contexts: certificates are verified against the system's roots or one bundle, TLS 1.2 at least."""

import ssl

from switchgear.contracts.upstream import ConnectionSettings
from switchgear.errors import ConfigError


class TlsContexts:
    """Makes one context per set of files and keeps it; reading the system's roots takes tens of milliseconds."""

    def __init__(self) -> None:
        self._made: dict[tuple[str | None, str | None, bool], ssl.SSLContext] = {}

    def get(self, settings: ConnectionSettings) -> ssl.SSLContext:
        """Return the context of these settings; raise `ConfigError` for a file that cannot be used."""
        key = (settings.ca_bundle, settings.client_cert, settings.verify_tls)
        context = self._made.get(key)
        if context is None:
            context = self._made[key] = _make(settings)
        return context


def _make(settings: ConnectionSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_bundle {settings.ca_bundle!r} cannot be used: {_reason(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if settings.client_cert is not None:
        try:
            context.load_cert_chain(settings.client_cert)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"client_cert {settings.client_cert!r} cannot be used: {_reason(error)}; the file holds the"
                " certificate and its key in PEM form, the key without a password"
            ) from None
    if not settings.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: OSError) -> str:
    return error.strerror or "it is not PEM"
