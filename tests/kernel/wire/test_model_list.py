import pytest

from switchgear.contracts.provider import DiscoveredModel, ProviderFault
from switchgear.testing.provider_suite import RecordedHead
from switchgear.wire.model_list import read_models


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"object":"list","data":[{"id":"a/b","name":"B","created":1.0,"context_length":8192,"pricing":{}}]}',
            DiscoveredModel("a/b", title="B", created_us=1_000_000, context_window=8192),
        ),
        (
            b'[{"id":"m","display_name":"m","organization":"acme","context_length":4096}]',
            DiscoveredModel("m", owned_by="acme", context_window=4096),
        ),
        (b'{"data":[{"id":"q","max_model_len":32768}]}', DiscoveredModel("q", context_window=32768)),
        (
            b'{"data":[{"id":"g","context_window":131072,"max_completion_tokens":32768}]}',
            DiscoveredModel("g", context_window=131072, max_output_tokens=32768),
        ),
    ],
)
def test_reads_what_servers_call_their_windows(body: bytes, expected: DiscoveredModel) -> None:
    assert ((expected,), None) == (read_models(RecordedHead(), body).models, read_models(RecordedHead(), body).cursor)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data":[{}]}'])
def test_something_that_is_no_list_is_a_fault(body: bytes) -> None:
    with pytest.raises(ProviderFault) as caught:
        read_models(RecordedHead(), body)
    assert "protocol" == caught.value.cause
