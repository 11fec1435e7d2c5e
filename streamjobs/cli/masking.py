"""Masks secrets in texts from elsewhere: replaces only values, never words of a sentence."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"""(?ix)
    (?P<key> [\w.-]*
             (?: password | passwd | pwd | secret | token | credential | (?:access|api|private)[_.-]?key )
             [\w.-]* )
    (?: (?P<equals> ['"`]? \s* = \s* ) (?P<value> '(?:[^']|'')*' | "(?:[^"\\]|\\.)*" | ['"]?[^\s,;'")}]+ )
      | (?P<colon> ['"`]? \s* : \s* ) (?P<quoted> '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | \d+(?=\s*[,}\]]) )
    )
    """
)
"""`password=x`, `'password' = 'x'` and `"password": "x"`. A word after a colon is part of a sentence."""
_ALONE = re.compile(
    r"(?im)^(?P<key>\s*[\w.-]*(?:password|passwd|pwd|secret|token|credential)[\w.-]*:\s+)[^\s'\"]+$"
)
"""A line of YAML: a key, a colon and one word."""
_URL_PASSWORD = re.compile(r"(?P<head>://[^/\s:@]*:)[^/\s]+(?=@)")
_REFERENCE = re.compile(r"""['"]?\$\{\w*\}['"]?""")


def mask_secrets(text: str) -> str:
    """Return the text with every password, token and secret in it replaced by `****`.

    >>> mask_secrets("mysql://app:hunter2@db refused, 'password' = 'hunter2'")
    "mysql://app:****@db refused, 'password' = ****"
    >>> mask_secrets("option 'password': write 'password' = '${NAME}' and set NAME")
    "option 'password': write 'password' = '${NAME}' and set NAME"
    """
    text = _URL_PASSWORD.sub(r"\g<head>****", text)
    return _ALONE.sub(r"\g<key>****", _SECRET.sub(_masked, text))


def _masked(match: re.Match[str]) -> str:
    value = match["value"] or match["quoted"]
    if _REFERENCE.fullmatch(value):
        return match[0]
    return match["key"] + (match["equals"] or match["colon"]) + "****"
