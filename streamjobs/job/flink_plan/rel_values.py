"""Reads values of the planner's Java objects as Python values, and the parts of its expressions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from pyflink.java_gateway import get_gateway

from streamjobs.job.flink_plan.physical import Condition, Field

_REX_UTIL = "org.apache.flink.table.planner.plan.utils.FlinkRexUtil"
_REX_NODE = "org.apache.calcite.rex.RexNode"
_LEAVES = ("LITERAL", "LOCAL_REF", "DYNAMIC_PARAM", "CORREL_VARIABLE")
"""Kinds of expressions that are not calls and read no column."""


class Expressions:
    """Reads Calcite's expressions: which columns they use, and whether they are the same at each call."""

    def __init__(self, loader: Any) -> None:
        self.expanded = static(loader, _REX_UTIL, "expandRexProgram", "org.apache.calcite.rex.RexProgram")
        self._unsteady = static(loader, _REX_UTIL, "getNonDeterministicCallName", _REX_NODE)
        self._bits = static(loader, "org.apache.calcite.plan.RelOptUtil$InputFinder", "bits", _REX_NODE)
        shaded = get_gateway().jvm.org.apache.flink.shaded.jackson2
        self._mapper = shaded.com.fasterxml.jackson.databind.ObjectMapper()

    def data(self, thing: Any) -> Any:
        """Return a Java list or array of plain values as a Python list, in one call to the JVM."""
        return json.loads(self._mapper.writeValueAsString(thing))

    def field(self, expression: Any, source: int = -1) -> Field:
        """Return a column's Field, without a name; `source` is the input column that it copies, or -1."""
        if source >= 0:
            return Field("", frozenset({source}), source)
        return Field("", self.uses(expression), None, self.unsteady(expression))

    def condition(self, option: Any) -> Condition | None:
        """Return the condition in a Scala option, or None."""
        if not option.isDefined():
            return None
        expression = option.get()
        return Condition(self.uses(expression), self.unsteady(expression))

    def uses(self, expression: Any) -> frozenset[int]:
        """Return the input columns that an expression reads."""
        return frozenset(self.data(self._bits(expression).asList()))

    def unsteady(self, expression: Any) -> str:
        """Return the name of a function in it that returns another value at each call, or ""."""
        name = self._unsteady(expression)
        return str(name.get()).removesuffix("_MATERIALIZE") if name.isPresent() else ""

    def called(self, expressions: Any) -> frozenset[str]:
        """Return the functions that a program calls; its expressions are one flat list."""
        return frozenset(
            str(expression.getOperator().getName())
            for expression in each(expressions)
            if str(expression.getKind().name()) in ("OTHER_FUNCTION", "OTHER")
        )

    def correlated(self, expression: Any) -> set[int]:
        """Return the columns of the left side that a table function's call reads, such as `$cor0.a`."""
        kind = str(expression.getKind().name())
        if kind == "INPUT_REF":
            return {int(expression.getIndex())}
        if kind == "FIELD_ACCESS":
            below = expression.getReferenceExpr()
            if str(below.getKind().name()) == "CORREL_VARIABLE":
                return {int(expression.getField().getIndex())}
            return self.correlated(below)
        if kind in _LEAVES:
            return set()
        return {column for operand in each(expression.getOperands()) for column in self.correlated(operand)}


def each(items: Any) -> list[Any]:
    """Return the objects of a Java list."""
    return [items.get(index) for index in range(items.size())]


def integers(numbers: Sequence[int]) -> Any:
    """Return numbers as Java's `int[]`."""
    gateway = get_gateway()
    array = gateway.new_array(gateway.jvm.int, len(numbers))
    for index, number in enumerate(numbers):
        array[index] = number
    return array


def hidden(thing: Any, name: str) -> Any:
    """Return a field of a Java object, even a private one, of its class or a superclass."""
    class_ = thing.getClass()
    while class_ is not None:
        for field in class_.getDeclaredFields():
            if field.getName() == name:
                field.setAccessible(True)
                return field.get(thing)
        class_ = class_.getSuperclass()
    message = f"the planner's {thing.getClass().getSimpleName()} has no field {name}"
    raise AssertionError(message)


def static(loader: Any, class_name: str, method: str, *parameters: str) -> Callable[..., Any]:
    """Return a static method by its parameters' types; its class may exist only in the planner's loader."""
    gateway = get_gateway()
    types = gateway.new_array(gateway.jvm.java.lang.Class, len(parameters))
    for index, parameter in enumerate(parameters):
        primitive = parameter == "boolean"
        types[index] = gateway.jvm.java.lang.Boolean.TYPE if primitive else loader.loadClass(parameter)
    found = loader.loadClass(class_name).getMethod(method, types)
    arguments = gateway.new_array(gateway.jvm.java.lang.Object, len(parameters))

    def call(*given: Any) -> Any:
        for index, argument in enumerate(given):
            arguments[index] = argument
        return found.invoke(None, arguments)

    return call
