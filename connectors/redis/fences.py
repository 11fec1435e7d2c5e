"""The fence in Redis: one hash per table, in a cluster one per slot, with the tokens of its writers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from typing import Any

from connectors.redis.connection import SLOTS, Nodes, call, redis_errors, slot_tags
from connectors.redis.rows import OWN_PREFIX
from connectors.redis.scripts import REPLACE_FENCE
from streamjobs.errors import RetriableError
from streamjobs.sinks.contract import Attempt
from streamjobs.sinks.fence import Fence, fenced_off, take

_STATE = "state"
_NONE = "none"


class RedisFence:
    """Who may write; taken once by `open`, checked by every script.

    A script in a cluster can only access keys of one slot, so each slot has its own fence. The fence of slot
    0 decides who is newer; then all others are raised to its epoch, which never decreases.
    """

    def __init__(self, nodes: Nodes, table: str, name: str) -> None:
        self._nodes = nodes
        self._table = table
        self._name = name.encode()
        self.token = b""
        self.field = b""
        self._sha = ""

    def key(self, slot: int) -> bytes:
        """Return the key of the fence that guards a slot; without a cluster there is one."""
        tag = b"{" + slot_tags()[slot] + b"}:" if self._nodes.is_cluster else b""
        return OWN_PREFIX + b"fence:" + tag + self._name

    def take(self, attempt: Attempt) -> None:
        """Become the writer of this subtask. Raises SystemicError when another has taken over from us."""
        for node in self._nodes.primaries():
            with redis_errors(f"table {self._table}: loading the fence's script"):
                self._sha = node.script_load(REPLACE_FENCE)
        token = secrets.token_hex(8)
        where = f"table {self._table}: fencing off older writers"
        with redis_errors(where):
            for _ in range(10):
                before = self._state()
                fence = take(None if before is None else Fence.from_json(before), attempt, token, self._table)
                if self._replace([0], _NONE if before is None else before, fence):
                    break
            else:
                message = f"{where}: another running job keeps taking it over; stop one of them"
                raise RetriableError(message)
            if self._nodes.is_cluster:
                self._replace(range(1, SLOTS), "", fence)
        self.token, self.field = token.encode(), b"w%d" % attempt.subtask

    def lost(self) -> Exception:
        """Return the error of a writer that a script has refused."""
        state = self._state()
        return fenced_off(self._table, self.token.decode(), None if state is None else Fence.from_json(state))

    def _state(self) -> bytes | None:
        state: Any = self._nodes.node(0).hget(self.key(0).decode(), _STATE)
        return None if state is None else bytes(state)

    def _replace(self, slots: Iterable[int], expected: str | bytes, fence: Fence) -> bool:
        fields = [_STATE, fence.to_json()]
        for subtask, writer in fence.writers.items():
            fields += [f"w{subtask}", writer.token]
        by_node: dict[int, list[int]] = {}
        for slot in slots:
            by_node.setdefault(id(self._nodes.node(slot)), []).append(slot)
        head, answers = [b"EVALSHA", self._sha.encode(), b"1"], []
        state = expected if isinstance(expected, bytes) else expected.encode()
        tail = [state, b"%d" % fence.epoch, json.dumps(fields).encode()]
        for node in self._nodes.primaries():
            for answer in call(node, [[*head, self.key(slot), *tail] for slot in by_node.get(id(node), ())]):
                if isinstance(answer, Exception):
                    raise answer
                answers.append(answer)
        return all(answers)
