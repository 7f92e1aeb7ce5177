"""What follows where a provider refuses a credential."""

from switchgear.contracts.exchange import Target
from switchgear.contracts.provider import ProviderFault
from switchgear.errors import AuthenticationFailed

_UNAUTHORIZED = 401


def mark_refused(target: Target, fault: ProviderFault) -> None:
    """Mark the credential, not the model: what is refused is who asks."""
    if target.credential is not None:
        target.credential.refused(target.provider_id, _UNAUTHORIZED if fault.cause == "auth" else fault.status)


def tell_owner(target: Target, fault: ProviderFault) -> None:
    """Tell a client whose own credential is refused: it alone can bring another. Raises `AuthenticationFailed`."""
    if target.takes_own and fault.cause == "auth":
        message = "The provider refuses your own credential."
        raise AuthenticationFailed(message, code="credential_refused", source="provider")
