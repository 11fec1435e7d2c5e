"""The structs and errors of the Thrift 1 gateway, which happybase defines when it is imported."""

from __future__ import annotations

import importlib
from typing import Any

import happybase

_TYPES: Any = importlib.import_module("Hbase_thrift") if happybase else None
BatchMutation = _TYPES.BatchMutation
ColumnDescriptor = _TYPES.ColumnDescriptor
Mutation = _TYPES.Mutation
AlreadyExists: type[Exception] = _TYPES.AlreadyExists
GatewayError: type[Exception] = _TYPES.IOError
IllegalArgument: type[Exception] = _TYPES.IllegalArgument
