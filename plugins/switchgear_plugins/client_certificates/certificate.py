"""Certificates as proxies hand them on, and what they say of whoever has one."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

_NAMES = {"cn": NameOID.COMMON_NAME, "o": NameOID.ORGANIZATION_NAME, "ou": NameOID.ORGANIZATIONAL_UNIT_NAME}
_SANS: Mapping[str, Any] = {
    "uri": x509.UniformResourceIdentifier, "dns": x509.DNSName, "email": x509.RFC822Name,
}  # fmt: skip
_ENVOYS = re.compile(r"(By|Hash|Cert|Chain|Subject|URI|DNS)=")
_PAIR = re.compile(r'\s*([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^",;]*)([;,]|$)')
"""A name and its value, which may be quoted, with what comes behind."""


def read_certificate(text: str) -> x509.Certificate | None:
    """Read the value of a header, None if there is no certificate in it.

    That is a byte sequence between colons (RFC 9440), PEM in percent-encoding (nginx, AWS), DER in base64 (Traefik, HAProxy), or
    the `Cert` of the last element of an `x-forwarded-client-cert` (Envoy), which is what the nearest proxy says.
    """
    if _ENVOYS.match(text):
        text = _last_element(text).get("cert", "")
    raw = unquote_to_bytes(text.strip())
    try:
        if b"-----BEGIN" in raw:
            return x509.load_pem_x509_certificate(raw)
        if len(raw) > 1 and raw[:1] == raw[-1:] == b":":
            raw = raw[1:-1]
        return x509.load_der_x509_certificate(base64.b64decode(raw, validate=True))
    except (ValueError, binascii.Error):
        return None


def facts_of(certificate: x509.Certificate) -> dict[str, Any]:
    """Return what rules may look at: `subject`, `issuer` (RFC 4514), `cn`, `o`, `ou`, `uri`, `dns`, `email`, `fingerprint`."""
    subject = certificate.subject
    return {
        "subject": subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "fingerprint": certificate.fingerprint(SHA256()).hex(),
        **{name: [it.value for it in subject.get_attributes_for_oid(oid)] for name, oid in _NAMES.items()},
        **_alternatives(certificate),
    }


def _alternatives(certificate: x509.Certificate) -> dict[str, list[str]]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return {}
    return {name: names.get_values_for_type(type) for name, type in _SANS.items()}


def _last_element(text: str) -> Mapping[str, str]:
    """Return the members of the last of several elements, by name in lower case: `By=…;Cert="…",By=…;Cert="…"`.

    Nothing, where the whole cannot be read, or a member is there twice: what is quoted may be of whoever has the certificate.
    """
    members: dict[str, str] = {}
    place = 0
    while place < len(text):
        pair = _PAIR.match(text, place)
        if pair is None or pair[1].lower() in members:
            return {}
        members[pair[1].lower()] = pair[2].removeprefix('"').removesuffix('"')
        place = pair.end()
        if pair[3] == ",":
            members = {}
    return members
