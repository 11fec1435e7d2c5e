"""The most common error texts of Flink's parser, validator and planner, each with a text of ours that says
how to correct the job."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MOST_CHARS = 2000


@dataclass(frozen=True)
class Cure:
    """A pattern of Flink's error text, and our text for it; the groups of `said` are filled into `words`."""

    said: re.Pattern[str]
    words: str


def _cure(said: str, words: str) -> Cure:
    return Cure(re.compile(said, re.DOTALL), words)


CURES = (
    _cure(
        r"Column '(?P<column>[^']+)' not found in any table",
        "no table of this query has a column {column}: names are case-sensitive, and a text is written in "
        "single quotes, 'like this'",
    ),
    _cure(
        r"Column '(?P<column>[^']+)' not found in table '(?P<table>[^']+)'",
        "{table} has no column {column}: names are case-sensitive",
    ),
    _cure(
        r"Column '(?P<column>[^']+)' is ambiguous",
        "more than one table of this query has a column {column}: write the table, or its alias, before it",
    ),
    _cure(
        r"Table '(?P<name>[^']+)' not found",
        "nothing in FROM is called {name}: a table with an alias is known by its alias only",
    ),
    _cure(
        r"Expression '(?P<what>.+?)' is not being grouped",
        "{what} is neither in GROUP BY nor inside an aggregate: group by it too, or say which of its values "
        "you mean, such as MAX({what})",
    ),
    _cure(
        r"Aggregate expression is illegal in (?P<clause>[A-Z ]+) clause",
        "{clause} is decided before rows are grouped: put a condition on an aggregate into HAVING",
    ),
    _cure(
        r"Aggregate expressions cannot be nested",
        "an aggregate is inside another one: compute the inner one in a view, and aggregate its rows",
    ),
    _cure(
        r"No match found for function signature (?P<name>[^(]+)\((?P<types>.*)\)",
        "there is no function {name} that accepts ({types}): CREATE FUNCTION comes before its use; check its "
        "name and the number of its arguments, and CAST those of another type",
    ),
    _cure(
        r"Invalid number of arguments to function '(?P<name>[^']+)'\. Was expecting (?P<count>\d+) arguments",
        "{name} needs {count} argument(s), and has another number of them here",
    ),
    _cure(
        r"Cannot apply '\$SCALAR_QUERY'",
        "a subquery that is used as a value has one column: select only that one",
    ),
    _cure(
        r"Cannot apply '(?P<name>[^']+)' to arguments of type '(?P<types>.+?)'\. Supported",
        "{name} does not accept arguments of these types: CAST them to types that it accepts",
    ),
    _cure(
        r"implicit type conversion between (?P<left>.+) and (?P<right>.+) is not supported on join's",
        "this join compares {left} with {right}: CAST one side to the type of the other",
    ),
    _cure(
        r"Values passed to (?P<name>\S+) operator must have compatible types",
        "the values of {name} have another type, or another number of columns, than what they are compared "
        "with: CAST them, or select the column that you mean",
    ),
    _cure(
        r"Cast function cannot convert value of type (?P<type>.+?) to type (?P<to>.+)$",
        "{type} cannot become {to}: check which column you mean",
    ),
    _cure(r"Unknown identifier '(?P<name>[^']+)'", "there is no type {name}: docs/jobs.md lists the types"),
    _cure(
        r"Column count mismatch in (?P<name>.+)",
        "the parts of this {name} have different numbers of columns: write NULL for what a part lacks",
    ),
    _cure(
        r"Type mismatch in column (?P<number>\d+) of (?P<name>.+)",
        "column {number} has another type in each part of this {name}: CAST it in one of them",
    ),
    _cure(
        r"Illegal mixing of types in CASE or COALESCE",
        "the results of this CASE or COALESCE have types that do not match: CAST them to one type",
    ),
    _cure(
        r"The window function requires the timecol is a time attribute type|"
        r"Window aggregate can only be defined over a time attribute column",
        "a window needs the event time of rows that never change: a METADATA FROM 'event_time' column with "
        "its WATERMARK, of an append table, before it is grouped or joined",
    ),
    _cure(
        r"Physical(?P<name>\w+) doesn't support consuming update(?: and delete)? changes",
        "{name} works only on rows that never change, and these are updated or deleted later: use an append "
        "table, or do this step before rows are grouped, joined or deduplicated",
    ),
    _cure(
        r"result and sink for '(?:[^'.]+\.){2}(?P<table>[^']+)' do not match\.\s*Cause: Different number",
        "this query and {table} have different numbers of columns: both are listed at the end",
    ),
    _cure(
        r"result and sink for '(?:[^'.]+\.){2}(?P<table>[^']+)' do not match\.\s*"
        r"Cause: Incompatible types for sink column '(?P<column>[^']+)' at position (?P<number>\d+)",
        "the query's column {number} does not fit column {column} of {table}: columns are matched by order, "
        "not by name; CAST it, or change the order",
    ),
    _cure(
        r"Number of columns must match number of query columns",
        "the list of columns after the table and the query have different numbers of columns",
    ),
    _cure(r"Bang equal '!=' is not allowed", "SQL writes <> for !="),
    _cure(
        r"(?P<clause>\w+) clause must be a condition",
        "{clause} needs a condition, which is TRUE or FALSE: compare the value, such as … <> 0",
    ),
    _cure(
        r"VIEW definition and input fields not match",
        "the list of columns of this view and its query have different numbers of columns",
    ),
    _cure(
        r"A column with the same name `(?P<column>[^`]+)` has been defined",
        "two columns of this query are called {column}: give one of them another name by AS",
    ),
    _cure(
        r"OVER clause is necessary for window functions",
        "this function looks at other rows and needs to know which: OVER (PARTITION BY … ORDER BY …)",
    ),
    _cure(
        r"Invalid argument type at position (?P<number>\d+)\. "
        r"Data type (?P<want>.+) expected but (?P<have>.+) passed",
        "argument {number} (counted from 0) of a function must be {want}, and is {have}: CAST it, or change "
        "input_types of the function",
    ),
    _cure(
        r"Cannot call table function here: '(?P<name>[^']+)'",
        "{name} returns rows, not a value: FROM …, LATERAL TABLE({name}(…)) AS alias(column)",
    ),
    _cure(
        r"Function '(?:[^'.]+\.){2}(?P<name>[^']+)' cannot be used as a table function",
        "{name} returns a value, not rows: call it in SELECT, or declare it with @udtf",
    ),
    _cure(
        r"Pandas UDAFs are not supported in streaming mode",
        "an aggregate function with func_type='pandas' does not run on a stream: write it as an "
        "AggregateFunction with accumulate and retract",
    ),
    _cure(
        r"Unsupported options found for '(?P<kind>[^']+)'\.\s*Unsupported options:\s*(?P<names>\S+)",
        "Flink's connector {kind} has no option {names}",
    ),
    _cure(
        r"One or more required options are missing\.\s*Missing required options are:\s*(?P<names>\S+)",
        "an option that Flink's connector needs is missing: {names}",
    ),
    _cure(
        r"Could not find any factory for identifier '(?P<kind>[^']+)'",
        "there is no connector or format {kind} here: check its name, or put its jar among Flink's",
    ),
    _cure(
        r"Incorrect syntax near the keyword '(?P<word>\w+)'",
        "{word} is a keyword of SQL and has no meaning here: to use it as a name, write `{word}` in "
        "backticks",
    ),
    _cure(
        r'Encountered "(?P<word>[^"]*)"',
        "SQL has no meaning for {word} here: something before it is missing, misspelled or superfluous, such "
        "as a comma; write a name that is a keyword in backticks",
    ),
)


def in_our_words(text: str) -> str | None:
    """Return Flink's error in our words, followed by Flink's own; None if no entry of CURES matches."""
    for cure in CURES:
        found = cure.said.search(text)
        if found is not None:
            ours = cure.words.format(**found.groupdict())
            return f"{ours} (Flink: {_brief(text)})"
    return None


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARS else line[: _MOST_CHARS - 1] + "…"
