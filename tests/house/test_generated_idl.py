"""The committed Python of the IDL is what the stock compiler makes of it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

from streamjobs.changes.row_change import ChangeKind, SqlType
from thrift_idl.codec import FORMAT_VERSION
from thrift_idl.gen.dbms_row_change import constants, ttypes

FOLDER = Path(__file__).parents[2] / "thrift_idl"
COMMITTED = FOLDER / "gen" / "dbms_row_change"
STRUCTS = ["Message", "Body", "Header", "DBMSRowChange", "Column", "RowChange", "RowImage"]


def thrift(*arguments: str | Path) -> str:
    assert shutil.which("thrift"), "no thrift compiler: install the Debian package thrift-compiler"
    return subprocess.run(["thrift", *arguments], capture_output=True, text=True, check=True).stdout


def numbers(module: ModuleType, enum: str) -> dict[str, int]:
    names: dict[int, str] = getattr(module, enum)._VALUES_TO_NAMES
    return {name: number for number, name in names.items()}


def test_committed_python_is_what_the_compiler_makes(tmp_path: Path) -> None:
    """Byte for byte with the compiler that made it, else struct by struct."""
    thrift("--gen", "py", "-out", tmp_path, FOLDER / "dbms_row_change.thrift")
    made = tmp_path / "dbms_row_change"
    spec = importlib.util.spec_from_file_location("regenerated", made / "ttypes.py")
    assert spec is not None
    assert spec.loader is not None
    regenerated = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(regenerated)
    for name in STRUCTS:
        new, old = repr(getattr(regenerated, name).thrift_spec), repr(getattr(ttypes, name).thrift_spec)
        assert new.replace("regenerated.", "") == old.replace("thrift_idl.gen.dbms_row_change.ttypes.", "")
    for enum in ("SqlType", "ChangeKind"):
        assert numbers(regenerated, enum) == numbers(ttypes, enum)
    committed = (COMMITTED / "ttypes.py").read_text()
    version = re.findall(r"Thrift Compiler \((.*)\)", committed)[0]
    if thrift("--version").split()[-1] == version:
        for name in ("__init__.py", "constants.py", "ttypes.py"):
            assert (made / name).read_text() == (COMMITTED / name).read_text(), (
                f"{name} is stale: thrift --gen py -out thrift_idl/gen thrift_idl/dbms_row_change.thrift"
            )


def test_the_idl_has_the_numbers_of_our_enums() -> None:
    assert numbers(ttypes, "SqlType") == {t.name: t.value for t in SqlType}
    assert numbers(ttypes, "ChangeKind") == {k.name: k.value for k in ChangeKind}
    assert constants.FORMAT_VERSION == FORMAT_VERSION
