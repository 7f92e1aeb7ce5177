from typing import ClassVar

import msgspec
import pytest

from switchgear.errors import SecretUnavailable
from switchgear.testing.credential_suite import CredentialBackendSuite
from switchgear_plugins.env.backend import EnvBackend, EnvSource
from switchgear_plugins.env.plugin import EnvPlugin
from switchgear_plugins.env.settings import EnvSettings


class TestEnvBackend(CredentialBackendSuite):
    source: ClassVar = {"backend": "env", "variables": {"api_key": "DEMO_KEY", "organisation": "DEMO_ORG"}}
    values: ClassVar = {"api_key": "sk-canary-env-1", "organisation": "org-canary-env-2"}
    absent: ClassVar = {"backend": "env", "variables": {"api_key": "DEMO_KEY", "organisation": "DEMO_MISSING"}}

    def make(self):
        return EnvBackend(EnvSettings(), {"DEMO_KEY": "sk-canary-env-1", "DEMO_ORG": "org-canary-env-2", "EMPTY": ""})


async def test_every_variable_that_fails_is_named_with_why():
    backend = EnvBackend(EnvSettings(), {"EMPTY": "", "SWITCHGEAR_MASTER_KEY": "canary"})
    source = EnvSource({"a": "MISSING", "b": "EMPTY", "c": "SWITCHGEAR_MASTER_KEY"})
    with pytest.raises(SecretUnavailable) as caught:
        await backend.fetch("c1", source)
    assert (
        "credential c1: environment variable MISSING is not set; EMPTY is empty; "
        "SWITCHGEAR_MASTER_KEY may not be read (see allow and deny of the plugin env in plugins.toml)"
    ) == str(caught.value)


async def test_only_allowed_variables_are_read():
    backend = EnvBackend(EnvSettings(allow=("LLM_*",), deny=("LLM_ADMIN",)), {"LLM_A": "x", "B": "x", "LLM_ADMIN": "x"})
    assert {"k": "x"} == dict(await backend.fetch("c", EnvSource({"k": "LLM_A"})))
    for variable in ("B", "LLM_ADMIN"):
        with pytest.raises(SecretUnavailable, match="may not be read"):
            await backend.fetch("c", EnvSource({"k": variable}))


async def test_what_settings_of_the_gateway_are_read_from_is_no_credential(plugin_context, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "canary")
    plugin_context.own_variables = frozenset({"VAULT_TOKEN"})
    backend = EnvPlugin(EnvSettings(), plugin_context).switchgear_credential_backends()[0].factory()
    with pytest.raises(SecretUnavailable, match="VAULT_TOKEN may not be read"):
        await backend.fetch("c", EnvSource({"k": "VAULT_TOKEN"}))


@pytest.mark.parametrize("variables", [{}, {"api_key": ""}, {"api_key": "A B"}, {"api_key": "1X"}, {"api_key": 5}])
def test_a_source_that_names_no_variable_is_refused(variables):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"backend": "env", "variables": variables}, EnvSource)


async def test_the_plugin_reads_the_process_environment_as_it_is_now(plugin_context, monkeypatch):
    backend = EnvPlugin(EnvSettings(), plugin_context).switchgear_credential_backends()[0].factory()
    monkeypatch.setenv("DEMO_KEY", "one")
    assert {"k": "one"} == dict(await backend.fetch("c", EnvSource({"k": "DEMO_KEY"})))
    monkeypatch.setenv("DEMO_KEY", "two")
    assert {"k": "two"} == dict(await backend.fetch("c", EnvSource({"k": "DEMO_KEY"})))
