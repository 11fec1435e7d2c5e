"""Loads the Python functions that a job's file names."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from pyflink.table.udf import AggregateFunction, TableAggregateFunction, UserDefinedFunctionWrapper

from streamjobs.errors import ConfigError, SqlError
from streamjobs.job.plan import JobPlan, RegisterFunction

_FUNCTIONS = (UserDefinedFunctionWrapper, AggregateFunction, TableAggregateFunction)


def load_function(plan: JobPlan, step: RegisterFunction) -> Any:
    """Import a function. Raises SqlError at its CREATE FUNCTION where it is missing, or no UDF."""
    module, _, attribute = step.path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as exc:  # the module is the user's, and may raise anything
        message = f"there is no Python function {step.path}: {type(exc).__name__}: {exc}"
        raise _error(plan, step, message) from exc
    if not isinstance(function, _FUNCTIONS):
        raise _error(plan, step, _undecorated(step.path, function))
    return function


def _error(plan: JobPlan, step: RegisterFunction, message: str) -> ConfigError:
    if step.offset is None:
        return ConfigError(message)
    return SqlError(message, plan.text, step.offset, plan.path)


def _undecorated(path: str, function: object) -> str:
    if not callable(function):
        return f"{path} is a {type(function).__name__}, not a function"
    where = ""
    if inspect.isfunction(function) or inspect.isclass(function):
        code = inspect.unwrap(function)
        file = inspect.getsourcefile(code)
        where = f" ({Path(file).name}:{inspect.getsourcelines(code)[1]})" if file else ""
    return (
        f"{path} is not declared for SQL{where}: put @udf(result_type=…) of pyflink.table.udf above it, or "
        "@udtf(result_types=[…]) where it returns rows"
    )
