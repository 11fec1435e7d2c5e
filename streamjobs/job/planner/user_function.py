"""Loads the Python functions that a job's file names."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from pyflink.table import StreamTableEnvironment
from pyflink.table.udf import AggregateFunction, TableAggregateFunction, UserDefinedFunctionWrapper

from streamjobs.errors import ConfigError, SqlError
from streamjobs.job.plan.flink_ddl import quoted
from streamjobs.job.plan.job_plan import JobPlan, RegisterFunction
from streamjobs.job.planner.refused import JAVA_ERRORS

_FUNCTIONS = (UserDefinedFunctionWrapper, AggregateFunction, TableAggregateFunction)


def register_function(tables: StreamTableEnvironment, plan: JobPlan, step: RegisterFunction) -> None:
    """Register a function under its SQL name.

    Raises SqlError at its CREATE FUNCTION if it cannot be loaded or cannot be sent to the workers. Passes on
    what Java raises.
    """
    function = load_function(plan, step)
    try:
        tables.create_temporary_function(quoted(step.name), function)
    except JAVA_ERRORS:
        raise
    except Exception as exc:  # pickling runs the user's code, which may raise anything
        message = (
            f"{step.path} cannot be sent to the workers: {type(exc).__name__}: {exc}. They get a copy of the "
            "function and of all that it holds: make locks, connections and open files in `open` of a "
            "ScalarFunction or TableFunction, and check the types that it declares"
        )
        raise _error(plan, step, message) from exc


def load_function(plan: JobPlan, step: RegisterFunction) -> Any:
    """Import a function. Raises SqlError at its CREATE FUNCTION if it is missing or not a UDF."""
    module, _, attribute = step.path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as exc:  # it is the user's module, which may raise anything
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
