"""A scored list in blocks: each is scored by itself and kept, and the plan is made when all are.

Memory holds one block, and of each customer of the list only what sharing out needs: whom an offer
would earn something from, what it earns and costs (`serving.actions.Bids`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import ibis
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.progress import note, task
from features.purchases import purchases
from serving.actions import PLAN_DTYPES, Bids, Shares, planned, share_out
from serving.offers import Decision
from serving.scored import CHURN_COLUMNS, CLV_COLUMNS, NEW_COLUMNS, SCORED_DTYPES, in_contract
from serving.segments import next_purchases
from serving.stakes import learned_effects, values_if_kept
from serving.weighing import Weighed, note_unheeded, weigh

if TYPE_CHECKING:
    from features.ledger import Ledger
    from serving.inputs import Inputs, Taken
    from serving.parts import Parts
    from serving.registry import RegisteredModel

__all__ = ["Asked", "Blocks", "Job"]

_HELD = b"regulars.held"
_MANY = ("kept", "earns", "costs", "allowed")  # of `Weighed`, a column an offer
_ONE = ("lately", "control", "value", "following")  # of `Weighed`, one column each


@dataclass(frozen=True)
class Job:
    """What scoring a customer takes beside the customer.

    Attributes:
        as_of: The cutoff.
        churn: The churn model.
        clv: The customer-lifetime-value model.
        params: What it is asked with.
        language: Of the reasons.
        decision: What may be sent; None: nothing is decided.
        uplift: Offer -> the model that knows its effect.
        following: The model of what is bought next.
        numbers: Which attributes are numbers; see `features.attributes.attributes`.
    """

    as_of: dt.date
    churn: RegisteredModel
    clv: RegisteredModel
    params: Mapping[str, float | str]
    language: str
    decision: Decision | None
    uplift: Mapping[str, RegisteredModel]
    following: RegisteredModel | None

    def score(self, taken: Taken, asked: Sequence[str]) -> tuple[pd.DataFrame, Weighed | None]:
        """Score customers; with a decision, weigh what could be sent to them."""
        index = taken.snapshot.rfm.index
        wanted: pd.Index[str] = pd.Index(list(asked), name="customer_id").astype(index.dtype)
        is_scored = index.get_indexer(wanted) >= 0
        table = pd.DataFrame(index=wanted)
        table["as_of"] = pd.Timestamp(self.as_of)
        table["status"] = _statuses(taken.ledger, wanted, is_scored)
        inputs = taken.churn
        risky = wanted[inputs.index.get_indexer(wanted) >= 0]
        at_risk = inputs.loc[risky]
        if len(risky):
            risk = self.churn.predict(at_risk, language=self.language)
            for name in CHURN_COLUMNS:
                table[name] = risk[name].replace("", None).reindex(wanted)
        value_inputs = taken.value(self.clv)
        present = wanted[is_scored]
        if len(present):
            value = self.clv.predict(value_inputs.loc[present], **self.params)
            # The cutoff is a midnight, so a purchase 3.7 days after it falls on the third day on.
            days = pd.to_timedelta(np.floor(value["next_purchase_days"]), unit="D")
            value["next_purchase_date"] = pd.Timestamp(self.as_of) + days
            for name in (*CLV_COLUMNS, "next_purchase_date"):
                table[name] = value[name].reindex(wanted)
        new = wanted[table["status"] == "no_history"]
        if len(new):
            found = self.clv.predict(_without_purchase(new, value_inputs), **self.params)
            for name in NEW_COLUMNS:
                table.loc[new, name] = found[name]
        table["churn_model"] = self.churn.label
        table["clv_model"] = self.clv.label
        scored = in_contract(table.rename_axis("customer_id").reset_index())
        if self.decision is None:
            return scored, None
        suggestions = None
        if self.following is not None:
            suggestions = next_purchases(taken.ledger, self.as_of, self.following, present)[
                "next_category"
            ]
        return scored, weigh(
            scored,
            taken.ledger,
            self.decision,
            values_if_kept(taken, at_risk, self.decision),
            effects=learned_effects(self.decision, self.uplift, at_risk),
            suggestions=suggestions,
            numbers=taken.shop.numbers,
        )


@dataclass(frozen=True)
class Asked:
    """Whom a list is of.

    Attributes:
        ids: In the order asked; None: everyone with a known transaction, in order of id.
        customers: How many they are.
        size: Customers of a block.
        inputs: Where they are taken from.
    """

    ids: Sequence[str] | None
    customers: int
    size: int
    inputs: Inputs

    def __len__(self) -> int:
        """Number of blocks."""
        return -(-self.customers // self.size)

    def rows(self, block: int) -> tuple[int, int]:
        """First row of a block, and the one after its last."""
        return block * self.size, min((block + 1) * self.size, self.customers)

    def of(self, block: int) -> Sequence[str]:
        """The ids of a block."""
        start, stop = self.rows(block)
        return self.inputs.everyone(start, stop) if self.ids is None else self.ids[start:stop]

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """Place of each row in order of id."""
        if self.ids is None:
            return np.arange(self.customers)
        return np.asarray(pd.factorize(pd.Index(self.ids), sort=True)[0], dtype=np.int64)


@dataclass(frozen=True)
class Blocks:
    """A scored list, to be gone through block by block, as often as one likes.

    Attributes:
        as_of: The cutoff.
        customers: Length of the list.
        price: What the last unit of the budget earns; 0 where the budget does not limit.
    """

    _job: Job
    _asked: Asked
    _parts: Parts
    _shares: Shares | None

    @classmethod
    def made(cls, job: Job, asked: Asked, parts: Parts, ledger: Ledger) -> Blocks:
        """Score the blocks that are not among the parts yet, and share out what may be sent."""
        done = {i for i in range(len(asked)) if parts.has(i, asked.rows(i)[1] - asked.rows(i)[0])}
        if done:
            note(f"{len(done):,} of {len(asked):,} blocks are there from a run that was ended.")
        with task("Scoring", total=asked.customers) as scoring:
            for block in range(len(asked)):
                start, stop = asked.rows(block)
                if block not in done:
                    ids = asked.of(block)
                    scored, weighed = job.score(asked.inputs.take(ids), ids)
                    parts.write(block, _to_part(scored, weighed))
                scoring.advance(stop - start)
        if job.decision is None:
            return cls(job, asked, parts, None)
        with task("Deciding", total=1) as deciding:
            shares = share_out(_bids(job.decision, asked, parts, ledger), job.decision)
            deciding.advance()
        return cls(job, asked, parts, shares)

    @property
    def as_of(self) -> dt.date:
        """The cutoff."""
        return self._job.as_of

    @property
    def customers(self) -> int:
        """Length of the list."""
        return self._asked.customers

    @property
    def whole(self) -> bool:
        """Whether the list is of everyone."""
        return self._asked.ids is None

    @property
    def price(self) -> float:
        """What the last unit of the budget earns; 0 where the budget does not limit the list."""
        return 0.0 if self._shares is None else self._shares.price

    def __iter__(self) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Blocks in the order asked: of the list (`SCORED_DTYPES`) and, row for row, of the plan.

        Without a decision the plan has no rows.
        """
        decision = self._job.decision
        for block in range(len(self._asked)):
            part = self._parts.read(block)
            scored = _scored(part)
            if decision is None or self._shares is None:
                yield scored, pd.DataFrame(columns=list(PLAN_DTYPES)).astype(dict(PLAN_DTYPES))
                continue
            weighed = _weighed(part, len(decision.offers))
            plan = planned(scored, weighed, self._shares.of(*self._asked.rows(block)), decision)
            yield (
                scored.assign(action=plan["action"], expected_value=plan["expected_value"]),
                plan,
            )


def _statuses(ledger: Ledger, wanted: pd.Index[str], is_scored: npt.NDArray[np.bool_]) -> list[str]:
    """Return the status of each id asked for."""
    others = list(wanted[~is_scored])
    status = dict.fromkeys(others, "unknown_customer")
    if others:
        asked = ibis.memtable({"customer_id": others}, schema={"customer_id": "string"})
        ever = purchases(ledger.transactions, dt.date.max, ledger.purchase_unit, ledger.days)
        for name, tables in (
            ("no_history", list(ledger.tables.values())),
            ("too_new", [ever]),  # the stronger word, so it comes last
        ):
            ids = [table.select("customer_id") for table in tables]
            rows = (ids[0] if len(ids) == 1 else ibis.union(*ids)).semi_join(asked, "customer_id")
            found = ledger.con.to_pyarrow(rows.distinct()).column("customer_id").to_pylist()
            status.update(dict.fromkeys(found, name))
    return [status.get(customer, "scored") for customer in wanted]


def _without_purchase(ids: pd.Index[str], like: pd.DataFrame) -> pd.DataFrame:
    """Rows of customers of whom no purchase is known, as the value model takes them."""
    empty = like.iloc[:0].reindex(ids)
    return empty.assign(frequency=0.0, recency=0.0, T=0.0)


def _bids(decision: Decision, asked: Asked, parts: Parts, ledger: Ledger) -> list[Bids]:
    """What sharing out needs, of all parts."""
    found, held = [], set()
    offers = range(len(decision.offers))
    columns = ["status", *(f"{name}_{i}" for name in _MANY for i in offers), *_ONE]
    for block in range(len(asked)):
        part = parts.read(block, columns)
        weighed = _weighed(part, len(decision.offers))
        held |= set(weighed.held)
        rows = np.arange(*asked.rows(block))
        status = part.select(["status"]).to_pandas()
        found.append(Bids.of(status, weighed, rows, asked.order[rows]))
    note_unheeded(decision, ledger, held)
    return found


def _to_part(scored: pd.DataFrame, weighed: Weighed | None) -> pa.Table:
    """A block as it is kept."""
    table = pa.Table.from_pandas(scored, preserve_index=False)
    if weighed is None:
        return table.replace_schema_metadata(None)
    for name in _MANY:
        for i, column in enumerate(getattr(weighed, name).T):
            # NaN stays NaN: nothing here is text, and nothing missing otherwise.
            table = table.append_column(f"{name}_{i}", pa.array(np.ascontiguousarray(column)))
    for name in _ONE:
        text = name == "following"
        values = pa.array(getattr(weighed, name), pa.string() if text else None, from_pandas=text)
        table = table.append_column(name, values)
    return table.replace_schema_metadata({_HELD: json.dumps(weighed.held)})


def _scored(part: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = part.select(list(SCORED_DTYPES)).to_pandas()
    return frame.astype(dict(SCORED_DTYPES))


def _weighed(part: pa.Table, offers: int) -> Weighed:
    many = {
        name: np.column_stack([part.column(f"{name}_{i}").to_numpy() for i in range(offers)])
        for name in _MANY
    }
    one = {name: part.column(name).to_numpy() for name in _ONE[:-1]}
    following = part.column("following").to_pandas().astype("str")
    held = tuple(json.loads(part.schema.metadata[_HELD]))
    return Weighed(**many, **one, following=following, held=held)
