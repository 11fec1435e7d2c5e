"""The result of each item of a bulk request: written, to be sent again, refused, or an error for the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streamjobs.errors import SystemicError
from streamjobs.sinks.contract import Record, Rejection

_ROWS_FAULT = frozenset(
    {"document_parsing_exception", "mapper_parsing_exception", "max_bytes_length_exceeded_exception"}
)
"""Errors that a single document causes: a value that the mapping of its field cannot hold, a too long term.

Source: DocumentParsingException and MapperParsingException (before 8.9) of Elasticsearch; Lucene's
BytesRefHash.MaxBytesLengthExceededException. All others are about the index, and so about each document.
"""
_RETRIABLE_STATUS = (408, 429, 500, 502, 503, 504)


class Answers:
    """The results of a batch: the indexes of records not yet written, why, and what was refused for ever."""

    def __init__(self, places: Sequence[int], where: str) -> None:
        self._where = where
        self.waiting = list(places)
        self.why = "an index was deleted"
        self.lost_index = False
        self.rejected: list[Rejection] = []

    def take(self, batch: Sequence[Record], sent: Sequence[int], answer: Mapping[str, Any]) -> None:
        """Handle each item. Raises SystemicError for an error that no retry cures and no record causes."""
        self.waiting, self.lost_index = [], False
        if not answer["errors"]:
            return
        for place, item in zip(sent, answer["items"], strict=True):
            (result,) = item.values()
            error = result.get("error")
            if error is None or result["status"] == 409:
                continue  # 409: the document is as new or newer
            cause = error.get("caused_by", {}).get("reason", "")
            text = f"{error['type']}: {error['reason']}{f' ({cause})' if cause else ''}"
            lost = error["type"] == "index_not_found_exception"
            self.lost_index = self.lost_index or lost
            if lost or result["status"] in _RETRIABLE_STATUS:
                self.waiting.append(place)
                self.why = f"HTTP {result['status']} {text}"
            elif {error["type"], error.get("caused_by", {}).get("type")} & _ROWS_FAULT:
                self.rejected.append(Rejection(batch[place], "mapping", text))
            else:
                message = (
                    f"{self._where}: writing documents: HTTP {result['status']} {text}; first of all "
                    f"for the key {batch[place].key!r}. No single document causes this: repair the index, "
                    "then start the job again"
                )
                raise SystemicError(message)
