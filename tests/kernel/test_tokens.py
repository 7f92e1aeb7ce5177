"""The self-calibrating estimate of tokens."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from switchgear.tokens import TokenEstimator, text_bytes


def members(text: str) -> dict[str, Raw]:
    return {"messages": Raw(f'[{{"role":"user","content":"{text}"}}]'.encode())}


def test_it_learns_what_a_token_of_a_model_is():
    estimator = TokenEstimator()
    asked = members("x" * 6000)
    assert text_bytes(asked) // 4 == estimator.input(asked)
    for _ in range(200):
        estimator.learn(text_bytes(asked), 3000, 0, 0)
    assert 2900 <= estimator.input(asked) <= 3100


def test_output_is_learnt_apart():
    estimator = TokenEstimator()
    for _ in range(200):
        estimator.learn(0, 0, 5000, 1000)
    assert 195 <= estimator.output(1000, 3) <= 215
    assert 4.0 == estimator.input_ratio


def test_a_few_tokens_teach_nothing():
    estimator = TokenEstimator()
    estimator.learn(1000, 3, 1000, 3)
    assert (4.0, 4.0) == (estimator.input_ratio, estimator.output_ratio)


def test_an_event_is_a_token_at_least():
    assert 40 == TokenEstimator().output(8, 40)


def test_images_are_no_text():
    picture = members("see data:image/png;base64," + "QUJD" * 5000)
    assert 0 == text_bytes(picture)
    assert 1000 <= TokenEstimator().input(picture) <= 1100


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=50))
def test_whatever_a_provider_says_the_estimate_stays_sane(said: list[tuple[int, int]]):
    estimator = TokenEstimator()
    for sent, tokens in said:
        estimator.learn(sent, tokens, sent, tokens)
    assert 1.0 <= estimator.input_ratio <= 16.0
    assert estimator.input(members("hello")) >= 1
