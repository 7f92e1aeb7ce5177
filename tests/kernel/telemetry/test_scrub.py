import time
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.telemetry.scrub import LIMIT, MASKED, flatten, mask, scrub

KEY = "sg_live_" + "Ab3-_xYz" * 5
secret_text = st.text(st.characters(codec="utf-8", exclude_characters="*…"), min_size=4, max_size=60)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Incorrect API key provided: sk-abcd****************wxyz.", "Incorrect API key provided: ***."),
        (f"no such key {KEY}", "no such key ***"),
        ("Authorization: Bearer abcdef.ghi", "Authorization: ***"),
        ("got Bearer abcdef0123456789", "got Bearer ***"),
        ('{"api_key": "hunter2"}', '{"api_key": ***}'),
        ("x-api-key=hunter2&model=m", "x-api-key=***&model=m"),
        ("client_secret='a b c' next", "client_secret=*** next"),
        ('said {"password": "correct horse bat', 'said {"password": ***'),
        ("redis://user:hunter2@cache:6379/0", "redis://***@cache:6379/0"),
        ("postgres://:hunter2@db/x", "postgres://***@db/x"),
        ("token eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.sig", "token ***"),
        ("key AKIAABCDEFGHIJKLMNOP used", "key *** used"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "***"),
    ],
)
def test_what_looks_like_a_secret_is_masked(message, shown):
    assert shown == scrub(message)


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens: 4096 is over the limit of 1024",
        "key_id=key_01 is suspended",
        "input_tokens=12 output_tokens=9",
        "the model `task-sk` does not exist",
        "see https://example.com/docs?page=2",
        "tokenizer: cl100k",
    ],
)
def test_what_people_need_to_read_stays(message):
    assert message == scrub(message)


def test_line_breaks_and_control_characters_cannot_forge_a_line():
    assert "a b c" == scrub("a\r\n\x1b\x00b\u202e\u2028c")
    assert "level=info" not in scrub("x").splitlines()


def test_a_secret_split_by_control_characters_is_still_found():
    assert "key *** leaked" == scrub("key hun\x00ter\u200b2 leaked", ["hunter2"])


def test_the_longer_of_two_secrets_goes_first():
    assert "***" == scrub("hunter2-and-more", ["hunter2", "hunter2-and-more"])


def test_mask_keeps_the_lines_of_a_traceback():
    assert "Traceback:\n  password=***\nValueError" == mask("Traceback:\n  password=hunter2\nValueError")


@given(st.lists(secret_text, min_size=1, max_size=4), st.text(max_size=80), st.text(max_size=80))
def test_a_known_secret_never_comes_out(secrets, before, after):
    out = scrub(before + after.join(secrets) + after, secrets)
    for secret in secrets:
        if len("".join(character for character in secret if character.isprintable())) == len(secret):
            assert secret not in out.replace("***", "\0")


@given(st.text(max_size=2000))
def test_the_result_is_short_printable_and_stable(text):
    out = scrub(text)
    assert len(out) <= LIMIT
    assert not [c for c in out if c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff"]
    out.encode()
    assert out == scrub(out)


@given(st.integers(0, 700), st.integers(0, 700))
def test_shortening_never_leaves_half_a_secret(before, after):
    out = scrub("." * before + "correct horse battery" + "." * after, ["correct horse battery"])
    assert "corr" not in out


@given(
    st.integers(15_000, 17_000), st.sampled_from(["sk-" + "abcdefghij" * 4, "password='correct horse battery'", KEY])
)
def test_a_message_too_long_to_read_leaves_no_half_a_secret_either(before, secret):
    out = scrub("sk-" + "x" * (before - 4) + " " + secret)
    assert not [part for part in ("abc", "corr", "Ab3", "horse") if part in out]


def test_a_huge_message_is_scrubbed_in_little_time():
    text = "a-" * 4_000_000
    began = time.process_time()
    scrub(text, ["hunter2hunter2"])
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "piece",
    [
        *("eyJ", "eyJaaaaaa.", "sk-", "sg_live_", "Bearer ", "token", "token=", "x_token", 'api_key="', "password "),
        *(
            "a_",
            "a-",
            "://",
            "://a:",
            "a:b@",
            "'\"=",
            "-----BEGIN ",
            "-----BEGIN PRIVATE KEY-----",
            "\x00",
            " ",
            "a",
            "é",
        ),
    ],
)
def test_time_is_linear_in_the_text(piece):
    def seconds(size):
        text = piece * (size // len(piece))
        best = 9.0
        for _ in range(3):
            began = time.process_time()
            mask(flatten(text))
            best = min(best, time.process_time() - began)
        return best

    small = max(seconds(8_192), 0.0005)
    assert seconds(131_072) < small * 16 * 6, "16 times the text took far more than 32 times as long"


@pytest.mark.parametrize("before", ["", "x", "Bearer ", "abc"])
@pytest.mark.parametrize("behind", ["", "y", "yz"])
def test_a_known_secret_is_found_in_base64_and_percent_encoded(before: str, behind: str) -> None:
    secret = "K/any+words of 0123456789"
    data = f"{before}{secret}{behind}".encode()
    for told in (b64encode(data).decode(), urlsafe_b64encode(data).decode(), quote(data, safe="")):
        shown = scrub(f"it was {told}", [secret])
        assert MASKED in shown
        assert all(told[at : at + 12] not in shown for at in range(8, len(told) - 20))
