"""Record a scored list in the score ledger while it is written elsewhere.

Blocks of the list go to a private file first. When the list itself stands, they go to the score
ledger in one transaction. So the ledger is open for seconds and not for as long as scoring takes,
memory does not grow with the list, and a ledger that is damaged, locked or gone costs no list: what
is wrong with it is said at the end.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import InputError
from serving.ledger_store import Store, opened
from serving.score_ledger import LIST_TYPES, SCORE_TYPES, SCORES, ListFacts, ScoreLedger

__all__ = ["Record", "recording"]

Record = Callable[..., None]
"""Takes a block of the scored list and, if something was planned, of the plan; see `recording`."""

_BLOCK = 50_000  # rows on their way to the ledger at once
_PLANNED = ("offer", "arm", "expected_value", "expected_cost", "effect", "value_if_kept")
_KINDS = {"text": pa.string(), "double precision": pa.float64()}
_SCHEMA = pa.schema([(name, _KINDS[kind]) for name, kind in SCORE_TYPES.items()])


@contextmanager
def recording(place: ScoreLedger | None, facts: ListFacts) -> Iterator[Record]:
    """Record a list that is made, and written elsewhere, in the block.

    Only customers who were scored are recorded. A list of everyone takes the place of what was
    recorded of that moment and these models; a list of some customers replaces theirs, and what was
    noted of the others stays.

    Args:
        place: Where the score ledger is; None: nothing is recorded.
        facts: What the list rests on.

    Yields:
        `record(block, plan)`: a block of the scored list (`serving.scorer.SCORED_DTYPES`), and the
        rows of the plan for it (`serving.actions.PLAN_DTYPES`), or None where nothing was planned.

    Raises:
        InputError: The list could not be recorded. It is raised when the block has ended: whatever
            the block has written stands. If the block itself fails, nothing is recorded.
    """
    if place is None:
        yield lambda block, plan=None: None
        return
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder:
        spool = _Spool(Path(folder) / "scores.parquet")
        try:
            yield spool.add
        finally:
            spool.close()
        try:
            if spool.failed is not None:
                raise InputError(
                    f"The scores cannot be kept in {tempfile.gettempdir()} until then: "
                    f"{spool.failed}.",
                    "Make room there, or name another folder in TMPDIR.",
                )
            _write(place, facts, spool.path)
        except InputError as error:
            raise InputError(
                f"The list is written, but not recorded in the score ledger. {error.message}",
                error.hint,
            ) from error


class _Spool:
    """A file that takes blocks; that it cannot take one is said at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failed: Exception | None = None
        self._writer: pq.ParquetWriter | None = None

    def add(self, block: pd.DataFrame, plan: pd.DataFrame | None = None) -> None:
        """Keep the customers of a block who were scored."""
        if self.failed is not None:
            return
        kept = (block["status"] == "scored").to_numpy(bool)
        columns = {}
        for name in SCORE_TYPES:
            source = plan if name in _PLANNED and plan is not None else block
            values = source[name] if name in source else pd.Series(None, index=block.index)
            columns[name] = pa.array(values[kept], type=_SCHEMA.field(name).type, from_pandas=True)
        table = pa.table(columns, schema=_SCHEMA)
        try:
            if self._writer is None:
                self._writer = pq.ParquetWriter(self.path, _SCHEMA, compression="zstd")
            self._writer.write_table(table)
        except OSError as error:
            self.failed = error

    def close(self) -> None:
        """Finish the file."""
        try:
            if self._writer is None:
                self._writer = pq.ParquetWriter(self.path, _SCHEMA)
            self._writer.close()
        except OSError as error:
            self.failed = self.failed or error


def _write(place: ScoreLedger, facts: ListFacts, spool: Path) -> None:
    with opened(place.url, place.schema, write=True) as store:
        assert store is not None  # one that is to be written to is made
        store.make("lists", LIST_TYPES, ["list_id"])
        store.make("scores", SCORES, ["list_id", "customer_id"])
        list_id, known, whole = _numbered(store, facts)
        scores = store.relation("scores")
        if known and (facts.whole or not _same_models(store, facts, list_id)):
            store.run(f"DELETE FROM {scores} WHERE list_id = ?", [list_id])  # noqa: S608
            known = False
            whole = False
        store.add(
            "scores", SCORES, ["list_id", "customer_id"], _rows(spool, list_id), replace=known
        )
        ((customers,),) = store.run(
            f"SELECT count(*) FROM {scores} WHERE list_id = ?",  # noqa: S608
            [list_id],
        )
        lists = store.relation("lists")
        if customers > pq.read_metadata(spool).num_rows:
            # The row tells what the others were planned on: of offers with one name, theirs holds.
            ((before,),) = store.run(
                f"SELECT offers FROM {lists} WHERE list_id = ?",  # noqa: S608
                [list_id],
            )
            offers = json.loads(facts.noted.get("offers") or "{}") | json.loads(before or "{}")
            store.run(
                f"UPDATE {lists} SET customers = ?, offers = ? WHERE list_id = ?",  # noqa: S608
                [customers, json.dumps(offers), list_id],
            )
            return
        row = {
            **dict.fromkeys(LIST_TYPES),
            **facts.noted,
            "list_id": list_id,
            "as_of": facts.as_of,
            "churn_model": facts.churn_model,
            "clv_model": facts.clv_model,
            "scored_at": dt.datetime.now(dt.UTC).replace(tzinfo=None),
            "customers": customers,
            "whole": whole or facts.whole,
        }
        store.run(f"DELETE FROM {lists} WHERE list_id = ?", [list_id])  # noqa: S608
        marks = ", ".join("?" for _ in LIST_TYPES)
        names = ", ".join(LIST_TYPES)
        store.run(
            f"INSERT INTO {lists} ({names}) VALUES ({marks})",  # noqa: S608
            [row[name] for name in LIST_TYPES],
        )


def _numbered(store: Store, facts: ListFacts) -> tuple[int, bool, bool]:
    """The number of the list, whether it is known, and whether it is known of everyone."""
    lists = store.relation("lists")
    found = store.run(
        f"SELECT list_id, whole FROM {lists} "  # noqa: S608
        "WHERE as_of = ? AND churn_model = ? AND clv_model = ?",
        [facts.as_of, facts.churn_model, facts.clv_model],
    )
    if found:
        return int(found[0][0]), True, bool(found[0][1])
    ((last,),) = store.run(f"SELECT coalesce(max(list_id), 0) FROM {lists}")  # noqa: S608
    return int(last) + 1, False, False


def _same_models(store: Store, facts: ListFacts, list_id: int) -> bool:
    """Whether the list is of these very models, and not of others with the same numbers."""
    ids = [facts.noted.get("churn_model_id"), facts.noted.get("clv_model_id")]
    ((*known,),) = store.run(
        f"SELECT churn_model_id, clv_model_id FROM {store.relation('lists')} WHERE list_id = ?",  # noqa: S608
        [list_id],
    )
    return known == ids


def _rows(spool: Path, list_id: int) -> Iterator[pa.Table]:
    with pq.ParquetFile(spool) as file:
        for batch in file.iter_batches(batch_size=_BLOCK):
            table = pa.Table.from_batches([batch])
            number = pa.array([list_id] * table.num_rows, pa.int32())
            yield table.add_column(0, "list_id", number)
