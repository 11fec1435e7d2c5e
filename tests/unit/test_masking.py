"""Secrets are masked, and no word of our own is."""

from __future__ import annotations

import pytest

from streamjobs.cli.masking import mask_secrets


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mysql://app:hunter2@db:3306 refused", "mysql://app:****@db:3306 refused"),
        ("mysql://app:h@nter@db:3306 refused", "mysql://app:****@db:3306 refused"),
        ("'password' = 'hunter2', 'host' = 'db'", "'password' = ****, 'host' = 'db'"),
        ("'password' = 'it''s', 'host' = 'db'", "'password' = ****, 'host' = 'db'"),
        ("db.password=hunter2 host=db", "db.password=**** host=db"),
        ('{"api_token": "abc", "n": 1}', '{"api_token": ****, "n": 1}'),
        ('{"api_token": "a\\"bc", "n": 1}', '{"api_token": ****, "n": 1}'),
        ('{"token": 4711, "n": 1}', '{"token": ****, "n": 1}'),
        ("{'passwd': 'x y', 'n': 1}", "{'passwd': ****, 'n': 1}"),
        ('username="app" password="x";', 'username="app" password=****;'),
        ("PWD=hunter2;UID=app", "PWD=****;UID=app"),
        ("aws_secret_access_key = abc/def", "aws_secret_access_key = ****"),
        ("cannot parse:\n  password: hunter2\n  host: db", "cannot parse:\n  password: ****\n  host: db"),
        ("password='hunter2", "password=****"),
    ],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "option 'password': a file is no place for a secret: write '${NAME}', and set NAME",
        "streamjobs.toml: [brokers.default]: password: the environment variable NOT_SET_PASSWORD is not set",
        '[source]: no password in the url; write password = "${NAME}"',
        "write 'password' = '${NAME}' and set the variable NAME",
        "option 'apiKey': is not a secret option",
        "give 'apiKey', or 'userName' and 'password', not both",
        "the token: it was taken by job 7",
        "http://127.0.0.1:8081/overview",
        "http://127.0.0.1:8081/users/me@example.com",
        "the password is wrong",
    ],
)
def test_our_own_words_are_never_masked(text: str) -> None:
    assert mask_secrets(text) == text
