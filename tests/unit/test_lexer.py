"""The lexer loses nothing and fails only with SqlError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjobs.dialect.lexer import Edit, Span, Token, TokenKind, apply_edits, significant, tokenize
from streamjobs.errors import SqlError

PIECES = st.lists(
    st.sampled_from(
        ["SELECT", "a", "b_1", "$x", "größe", "'it''s'", "''", "`odd ``name`", "12", "1.5e-3", ".5", "<>",
         "||", ">=", "=>", "(", ")", ",", ";", ".", "-", "/", "*", " ", "\n", "\t", "-- a ; 'b\n", "// c\n",
         "/* d ' */", "/**/", "/*+ STATE_TTL('a'='1d') */", "'a;\n--b'"]
    )
)  # fmt: skip


@given(PIECES)
def test_tokens_joined_are_the_text(pieces: list[str]) -> None:
    text = " ".join(pieces)
    tokens = tokenize(text)
    assert "".join(token.text for token in tokens) == text
    assert [token.start for token in tokens[1:]] == [token.end for token in tokens[:-1]]


@given(st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("'`\"-/*+;\n ")))
def test_any_text_is_either_cut_whole_or_refused_with_a_place(text: str) -> None:
    refused: SqlError | None = None
    tokens: list[Token] = []
    try:
        tokens = tokenize(text)
    except SqlError as error:
        refused = error
    if refused is None:
        assert "".join(token.text for token in tokens) == text
    else:
        assert refused.line <= text.count("\n") + 1
        assert refused.column <= len(refused.source_line)


def test_kinds_and_values() -> None:
    tokens = significant(tokenize("a `b ``c` 'it''s' 1.5 <= -- end"))
    assert tokens == [
        Token(TokenKind.WORD, "a", 0),
        Token(TokenKind.QUOTED, "`b ``c`", 2),
        Token(TokenKind.STRING, "'it''s'", 10),
        Token(TokenKind.NUMBER, "1.5", 18),
        Token(TokenKind.OPERATOR, "<=", 22),
    ]
    assert [tokens[1].name, tokens[2].value] == ["b `c", "it's"]


def test_a_hint_is_one_token_and_a_comment_is_none() -> None:
    tokens = tokenize("/*+ STATE_TTL('a'='1d') *//* plain */-- line")
    assert [token.kind for token in tokens] == [TokenKind.HINT, TokenKind.COMMENT, TokenKind.COMMENT]
    assert significant(tokens) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 'abc''", "<sql>:1:8: this string has no closing quote; write a quote inside a string as ''"),
        ("a\n  `b", "<sql>:2:3: this name has no closing backtick"),
        ("a /* b", "<sql>:1:3: this comment has no closing */"),
        ("a /*+ b", "<sql>:1:3: this comment has no closing */"),
        (
            'x = "y"',
            "<sql>:1:5: double quotes mean nothing here: names go in backticks, strings in single quotes",
        ),
        ("a € b", "<sql>:1:3: unexpected character '€'"),
        (
            "SELECT\n\u00a0a",
            "<sql>:2:1: NO-BREAK SPACE (U+00A0) is no blank in SQL: delete it or type a blank",
        ),
        (
            "a\u200bb",
            "<sql>:1:2: ZERO WIDTH SPACE (U+200B) is no blank in SQL: delete it or type a blank",
        ),
        (
            "a\u3000b",
            "<sql>:1:2: IDEOGRAPHIC SPACE (U+3000) is no blank in SQL: delete it or type a blank",
        ),
        (
            "a\ufeffb",
            "<sql>:1:2: ZERO WIDTH NO-BREAK SPACE (U+FEFF) is no blank in SQL: delete it or type a blank",
        ),
        (
            "a\x00b",
            "<sql>:1:2: a control character (U+0000) is no blank in SQL: delete it or type a blank",
        ),
    ],
)
def test_what_never_ends_is_shown_where_it_starts(text: str, message: str) -> None:
    with pytest.raises(SqlError) as caught:
        tokenize(text)
    assert str(caught.value).splitlines()[0] == message


def test_edits_leave_the_rest_alone() -> None:
    edits = [Edit(Span(9, 10), "2"), Edit(Span(0, 6), "VALUES"), Edit(Span(10, 10), " -- two")]
    assert apply_edits("SELECT   1 ;", edits) == "VALUES   2 -- two ;"


def test_overlapping_edits_are_a_bug() -> None:
    with pytest.raises(AssertionError, match="two edits overlap at 2"):
        apply_edits("abcdef", [Edit(Span(0, 3), ""), Edit(Span(2, 4), "")])
