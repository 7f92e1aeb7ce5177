"""A credential backend that is right: the secret is in the source itself."""

import logging
from typing import ClassVar

import msgspec

from switchgear.contracts.credential import Secret
from switchgear.errors import SecretUnavailable
from switchgear.testing.credential_suite import CredentialBackendSuite


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="backend", tag="demo"):
    api_key: str


class Lenient(msgspec.Struct, frozen=True, tag_field="backend", tag="demo"):
    api_key: str


class Right:
    source_type: ClassVar[type] = Source
    secret_fields: ClassVar[tuple[str, ...]] = ("api_key",)

    async def fetch(self, credential_id, source):
        if not source.api_key:
            raise SecretUnavailable(f"credential {credential_id} is empty")
        return Secret({"api_key": source.api_key})


class Undeclared(Right):
    secret_fields = ()


class Misdeclared(Right):
    secret_fields = ("api_kee",)


class Talkative(Right):
    async def fetch(self, credential_id, source):
        if not source.api_key:
            raise SecretUnavailable(f"{credential_id}: it is not sk-canary")
        return await super().fetch(credential_id, source)


class Logs(Right):
    async def fetch(self, credential_id, source):
        logging.getLogger("mine").warning("fetched %s", source.api_key)
        return await super().fetch(credential_id, source)


class Obliging(Right):
    async def fetch(self, credential_id, source):
        return Secret({"api_key": source.api_key})


class Nameless(Right):
    async def fetch(self, credential_id, source):
        return await super().fetch("something", source)


class Plain(Right):
    """Gives what anybody can print."""

    async def fetch(self, credential_id, source):
        return dict(await super().fetch(credential_id, source))


class TakesAnything(Right):
    source_type = Lenient


class TestRight(CredentialBackendSuite):
    backend_type: ClassVar[type[Right]] = Right
    source: ClassVar = {"backend": "demo", "api_key": "sk-canary"}
    values: ClassVar = {"api_key": "sk-canary"}
    absent: ClassVar = {"backend": "demo", "api_key": ""}

    def make(self):
        return self.backend_type()


MUTANTS = (
    (TestRight, "backend_type", (Undeclared, Misdeclared, Talkative, Logs, Obliging, Nameless, Plain, TakesAnything)),
)
