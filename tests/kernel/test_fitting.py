"""Secrets as people paste them."""

import pytest

from switchgear.fitting import fitted


@pytest.mark.parametrize("pasted", ["sk-a\n", " sk-a ", "\ufeffsk-a\r\n", "\u200bsk-a\t", "sk-a"])
def test_what_stands_around_a_secret_by_mistake_is_taken_off(pasted: str) -> None:
    assert "sk-a" == fitted(pasted)


@pytest.mark.parametrize(
    ("pasted", "why"),
    [('"sk-a"', "quotes"), ("'sk-a'\n", "quotes"), ("sk-\u0430", "4 is not ASCII"), ("sk\x00a", "control")],
)
def test_what_cannot_be_meant_is_refused_without_quoting_it(pasted: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        fitted(pasted)
    assert "sk" not in str(caught.value)


@pytest.mark.parametrize("document", ["-----BEGIN KEY-----\nabc\n-----END KEY-----", '{"name": "\u0416"}'])
def test_documents_stay_as_they_are(document: str) -> None:
    assert document == fitted(document + "\n")
