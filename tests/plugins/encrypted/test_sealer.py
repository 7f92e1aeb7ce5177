import base64
import os
import re
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.ambient import Ambient
from switchgear.contracts.credential import Sealer
from switchgear.errors import SecretUnavailable
from switchgear.testing.credential_suite import CredentialBackendSuite
from switchgear_plugins.encrypted.backend import EncryptedBackend, EncryptedSource
from switchgear_plugins.encrypted.keys import MasterKey

OLD, NEW = MasterKey.of(b"o" * 32), MasterKey.of(b"n" * 32)
CONTEXT = "credentials/openai/source.values.api_key"


def sealer(*keys):
    return EncryptedBackend(lambda: keys, Ambient())


class TestEncryptedBackend(CredentialBackendSuite):
    source: ClassVar = {"backend": "encrypted", "values": {"api_key": "sk-canary-encrypted"}}
    values: ClassVar = {"api_key": "sk-canary-encrypted"}
    absent: ClassVar = {"backend": "encrypted", "values": {"api_key": ""}}

    def make(self):
        return sealer(NEW)


def test_it_is_a_sealer():
    assert isinstance(sealer(NEW), Sealer)


def test_sealed_text_has_the_documented_form_and_hides_the_plaintext():
    sealed = sealer(NEW).seal("sk-canary", context=CONTEXT)
    assert re.fullmatch(r"sealed:v1:[0-9a-f]{12}:[A-Za-z0-9_-]{16}:[A-Za-z0-9_-]+", sealed)
    assert "canary" not in sealed
    assert b"canary" not in base64.urlsafe_b64decode(sealed.rsplit(":", 1)[1] + "==")


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_what_was_sealed_opens_where_it_was_sealed(plaintext, context):
    it = sealer(NEW)
    assert plaintext == it.unseal(it.seal(plaintext, context=context), context=context)


TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


@given(TEXT, TEXT, TEXT)
def test_it_never_opens_in_another_context(plaintext, context, other):
    it = sealer(NEW)
    if context != other:
        with pytest.raises(SecretUnavailable):
            it.unseal(it.seal(plaintext, context=context), context=other)


@given(st.text(st.characters(codec="utf-8"), max_size=12), st.randoms())
def test_with_any_bit_flipped_it_never_opens(plaintext, random):
    it = sealer(NEW, OLD)
    sealed = it.seal(plaintext, context=CONTEXT).encode()
    for position in range(len(sealed)):
        flipped = bytearray(sealed)
        flipped[position] ^= 1 << random.randrange(8)
        with pytest.raises(SecretUnavailable):
            it.unseal(flipped.decode("latin-1"), context=CONTEXT)


@given(st.text(st.characters(codec="utf-8"), max_size=12))
def test_cut_short_or_made_longer_it_never_opens(plaintext):
    it = sealer(NEW)
    sealed = it.seal(plaintext, context=CONTEXT)
    for damaged in [*(sealed[:n] for n in range(len(sealed))), sealed + "A", sealed + "=", sealed + ":", " " + sealed]:
        with pytest.raises(SecretUnavailable):
            it.unseal(damaged, context=CONTEXT)


@given(st.text(max_size=200))
def test_text_that_was_never_sealed_is_refused_without_other_errors(text):
    with pytest.raises(SecretUnavailable):
        sealer(NEW).unseal(text, context=CONTEXT)
    with pytest.raises(SecretUnavailable):
        sealer(NEW).unseal(f"sealed:v1:{NEW.id}:{text}", context=CONTEXT)


def test_swapping_two_sealed_secrets_opens_neither():
    it = sealer(NEW)
    a, b = it.seal("a", context="credentials/a"), it.seal("b", context="credentials/b")
    for sealed, context in ((a, "credentials/b"), (b, "credentials/a")):
        with pytest.raises(SecretUnavailable, match="moved here"):
            it.unseal(sealed, context=context)


def test_the_nonce_never_repeats_and_the_same_secret_never_looks_the_same():
    it = sealer(NEW)
    seen = [it.seal("same", context=CONTEXT).split(":") for _ in range(20_000)]
    assert 20_000 == len({nonce for *_, nonce, _ in seen}) == len({ciphertext for *_, ciphertext in seen})


def test_the_first_key_seals_and_the_others_only_open():
    before = sealer(OLD).seal("s", context=CONTEXT)
    both = sealer(NEW, OLD)
    assert "s" == both.unseal(before, context=CONTEXT)
    assert [False, True] == [both.is_current(sealed) for sealed in (before, both.seal("s", context=CONTEXT))]
    with pytest.raises(SecretUnavailable, match=f"sealed with master key {OLD.id}, which is not given"):
        sealer(NEW).unseal(before, context=CONTEXT)


async def test_an_empty_value_is_named():
    with pytest.raises(SecretUnavailable, match="credential c1 has no value for b; write it again"):
        await sealer(NEW).fetch("c1", EncryptedSource({"a": os.urandom(4).hex(), "b": ""}))
