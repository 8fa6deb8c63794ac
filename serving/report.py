"""The report: one HTML file that opens offline, on a phone and in print, light and dark.

Nothing in it comes from elsewhere and nothing runs: no script, no font, no picture to fetch.
Every text from the data is escaped, and a content security policy in the page itself forbids
scripts.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined

from features.purchases import purchases
from features.window import known_rows
from models.base import TIERS

if TYPE_CHECKING:
    from features.ledger import Ledger
    from serving.registry import RegisteredModel

__all__ = ["render"]

_MONTHS_SHOWN = 24
_NB = "\u00a0"
"""A blank that keeps a number and its unit on one line."""
_SIZES = ((1e9, "bn"), (1e6, "M"), (1e3, "k"))
_BINS = 20
_FIRST_CELLS = (("high", "high"), ("high", "medium"), ("medium", "high"), ("medium", "medium"))
"""Where to act, best first: value tier, risk tier."""

_STATUS_WORDS = {
    "scored": "scored",
    "too_new": "first purchase after the cutoff",
    "no_history": "known, but no purchase yet",
    "unknown_customer": "in no table",
}

_REASON_WORDS = {
    "amount_not_finite": "amount infinite or not a number",
    "amount_too_large": "amount too large",
    "too_early": "before the history starts",
    "in_future": "after the history ends",
    "isolated_future": "more than a year after all others",
    "negative_quantity": "negative quantity, amount not negative",
    "zero_amount": "amount zero",
    "duplicate": "equal to an earlier row",
    "repeated_customer": "further row of the same customer",
    "too_many_fields": "too many fields",
    "too_few_fields": "too few fields",
    "bad_quotes": "broken quotes",
    "bad_encoding": "broken characters",
}

_METRICS: Mapping[str, tuple[str, str, str]] = {
    "churn/roc_auc": (
        "ROC-AUC",
        "ranks",
        "how often one who left was ranked above one who stayed; 0.5 is chance, 1 is perfect",
    ),
    "churn/lift_at_10": (
        "Lift in the top 10 %",
        "times",
        "how many times more leavers among the tenth with the highest probability than on average",
    ),
    "churn/ece": (
        "Calibration error",
        "share",
        "mean distance between the stated probability and what happened; 0 is best",
    ),
    "churn/mean_p_minus_rate": (
        "Mean probability minus rate",
        "signed",
        "whether the level is too high (+) or too low (-); 0 is best",
    ),
    "churn/brier": ("Brier score", "ranks", "mean squared error of the probability; 0 is best"),
    "clv/spearman": (
        "Rank correlation",
        "ranks",
        "whether customers are in the right order of value; 1 is perfect",
    ),
    "clv/gini": (
        "Normalised Gini",
        "ranks",
        "how much of the value's concentration the order finds; 1 is perfect",
    ),
    "clv/bias": (
        "Bias of the total",
        "signed",
        "predicted total against the actual one; 0 is best",
    ),
    "clv/nmae": (
        "Normalised mean absolute error",
        "ranks",
        "sum of absolute errors against the sum of values; 0 is best",
    ),
    "clv/coverage_90": (
        "Coverage of the 90 % interval",
        "share",
        "how many actual values fell into the stated range; 90 % is right",
    ),
}


@dataclass(frozen=True)
class _Bar:
    """One rectangle of a chart, in percent of its width and height, from the top left."""

    x: float
    y: float
    width: float
    height: float
    style: str
    hint: str


@dataclass(frozen=True)
class _Chart:
    """A bar chart with the text that says the same to those who cannot see it."""

    title: str
    note: str
    alt: str
    bars: list[_Bar]
    y_ticks: list[tuple[float, str]]
    x_labels: list[tuple[float, str]]
    headers: list[str]
    rows: list[list[str]]
    legend: tuple[tuple[str, str], ...] = ()
    unit: str = ""


def render(
    ledger: Ledger,
    scored: pd.DataFrame,
    models: Sequence[RegisteredModel],
    *,
    title: str = "Customer report",
    currency: str = "",
    top_n: int = 25,
) -> str:
    """Return the report as one HTML page.

    Args:
        ledger: The trusted tables that were scored; only sums by month leave the engine.
        scored: The scored list, as `serving.scorer.score` returns it.
        models: The churn model and the customer-lifetime-value model used.
        title: Heading of the page.
        currency: Put before every amount, for instance "£".
        top_n: How many customers the list to act on shows.

    Returns:
        The page, the same bytes for the same input.
    """
    as_of: dt.date = pd.Timestamp(scored["as_of"].iloc[0]).date()
    # "clv_learned" and "clv_stack" are kinds of "clv".
    cards = {str(model.card.get("kind")).split("_")[0]: model.card for model in models}
    words = _Words(currency)
    known = scored[scored["status"] == "scored"]
    settings = {
        "churn_days": int(cards["churn"]["horizon_days"]),
        "gap_days": int(cards["churn"].get("gap_days", 0)),
        "clv_days": int(cards["clv"]["extra"]["horizon_days"]),
        "discount": words.percent(float(cards["clv"]["extra"]["annual_discount_rate"])),
        "margin": words.percent(float(cards["clv"]["extra"]["margin"])),
    }
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = resources.files("serving").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        title=title,
        as_of=words.date(as_of),
        settings=settings,
        headlines=_headlines(known, settings, words),
        matrix=_matrix(known, words),
        risk_chart=_risk_chart(known, words),
        value_chart=_value_chart(known, words),
        month_charts=_month_charts(ledger, as_of, words),
        actions=_actions(known, top_n, words),
        statuses=[
            (_STATUS_WORDS[str(name)], words.count(n))
            for name, n in scored["status"].value_counts().items()
        ],
        quality=_quality(ledger.quality.to_dict(), words),
        models=[_model(model, words) for model in models],
    )


class _Words:
    """Numbers as a reader wants them."""

    def __init__(self, currency: str) -> None:
        self.currency = currency

    @staticmethod
    def count(value: float) -> str:
        return f"{value:,.0f}"

    @staticmethod
    def percent(value: float, digits: int = 0) -> str:
        """Return a share; a small one is never shown as none at all."""
        if 0 < value < 0.5 * 10 ** -(digits + 2):
            return f"<{_NB}{10.0**-digits:.{digits}f}{_NB}%"
        return f"{value * 100:.{digits}f}{_NB}%"

    @staticmethod
    def date(day: dt.date) -> str:
        return f"{day.day} {day:%B %Y}"

    def money(self, value: float) -> str:
        """Return an amount; only a small one has decimals."""
        decimals = 2 if 0 < abs(value) < 9.995 else 0
        return self._signed(value, f"{abs(value):,.{decimals}f}")

    def short_money(self, value: float) -> str:
        """Return an amount in three significant figures: 1.23 M, 45.6 k, 789."""
        return self._signed(value, self.short(abs(value)))

    @staticmethod
    def short(value: float) -> str:
        for size, name in _SIZES:
            if value >= 0.9995 * size:
                scaled = value / size
                decimals = max(0, 2 - int(math.log10(max(scaled, 1))))
                return f"{scaled:,.{decimals}f}{_NB}{name}"
        return f"{value:,.0f}"

    @staticmethod
    def tick(value: float) -> str:
        """Return a round number without needless digits: 500, 1.5 k, 20 M."""
        for size, name in _SIZES:
            if value >= size:
                return f"{value / size:g}{_NB}{name}"
        return f"{value:g}"

    def money_tick(self, value: float) -> str:
        return self.currency + self.tick(value)

    def _signed(self, value: float, text: str) -> str:
        return f"{'−' if value < 0 else ''}{self.currency}{text}"  # noqa: RUF001


def _headlines(
    known: pd.DataFrame, settings: Mapping[str, Any], words: _Words
) -> list[dict[str, str]]:
    n = len(known)
    leaving = float(known["churn_probability"].sum())
    total = float(known["clv"].sum())
    at_risk = float((known["churn_probability"] * known["clv"]).sum())
    return [
        {
            "label": "Customers scored",
            "value": words.count(n),
            "note": "with at least one purchase",
        },
        {
            "label": "Expected to stay away",
            "value": words.percent(leaving / n) if n else "–",  # noqa: RUF001
            "note": f"{words.count(leaving)} customers with no purchase in "
            f"{settings['churn_days']} days",
        },
        {
            "label": "Customer lifetime value",
            "value": words.short_money(total),
            "note": f"discounted margin of the next {settings['clv_days']} days",
        },
        {
            "label": "Value at risk",
            "value": words.short_money(at_risk),
            "note": (words.percent(at_risk / total) if total else "–")  # noqa: RUF001
            + " of that value, weighted by the risk of leaving",
        },
        {
            "label": "Expected revenue",
            "value": words.short_money(float(known["expected_spend"].sum())),
            "note": f"from these customers in {settings['clv_days']} days",
        },
        {
            "label": f"Held by the top 10{_NB}%",
            "value": words.percent(float(_decile_shares(known)[0])) if n else "–",  # noqa: RUF001
            "note": "share of the lifetime value",
        },
    ]


def _matrix(known: pd.DataFrame, words: _Words) -> dict[str, Any]:
    """Return value tiers (rows, high first) by risk tiers (columns, low first)."""
    total = max(float(known["clv"].sum()), 1e-300)
    groups = known.groupby(["value_tier", "risk_tier"])["clv"].agg(["size", "sum"])
    sums = groups["sum"].to_dict()
    sizes = groups["size"].to_dict()
    top = max([*sums.values(), 1e-300])
    # A cell of a handful of customers is no place to start.
    crowded = [cell for cell in _FIRST_CELLS if sizes.get(cell, 0) >= max(1, 0.01 * len(known))]
    first = crowded[0] if crowded else None
    rows = []
    for value in reversed(TIERS):
        cells = []
        for risk in TIERS:
            money = float(sums.get((value, risk), 0.0))
            cells.append(
                {
                    "customers": words.count(sizes.get((value, risk), 0)),
                    "money": words.short_money(money),
                    "share": words.percent(money / total),
                    "tint": round(100 * max(money, 0.0) / top),
                    "first": (value, risk) == first,
                }
            )
        mine = known[known["value_tier"] == value]
        rows.append(
            {
                "name": value,
                "cells": cells,
                "customers": words.count(len(mine)),
                "money": words.short_money(float(mine["clv"].sum())),
            }
        )
    columns = []
    for risk in TIERS:
        mine = known[known["risk_tier"] == risk]
        columns.append(
            {
                "name": risk,
                "customers": words.count(len(mine)),
                "money": words.short_money(float(mine["clv"].sum())),
            }
        )
    return {
        "rows": rows,
        "columns": columns,
        "customers": words.count(len(known)),
        "money": words.short_money(float(known["clv"].sum())),
    }


def _risk_chart(known: pd.DataFrame, words: _Words) -> _Chart | None:
    if known.empty:
        return None
    edges = np.linspace(0, 1, _BINS + 1)
    counts = {
        tier: np.histogram(known.loc[known["risk_tier"] == tier, "churn_probability"], edges)[0]
        for tier in TIERS
    }
    stacked = sum(counts.values())
    top, ticks = _scale(float(np.max(stacked)), words.tick)
    bars = []
    for i in range(_BINS):
        base = 0.0
        for tier in TIERS:
            n = float(counts[tier][i])
            if n:
                span = f"{edges[i]:.0%} to {edges[i + 1]:.0%}"
                bars.append(
                    _bar(i, _BINS, base, n, top, tier, f"{span}: {n:,.0f} customers, {tier} risk")
                )
            base += n
    half = float((known["churn_probability"] >= 0.5).mean())
    return _Chart(
        title=f"{words.percent(half)} of customers are more likely to stay away than to come back",
        note="Number of customers, coloured by risk tier",
        alt=f"Histogram of churn probabilities of {len(known):,} customers; "
        f"{half:.0%} are at 50 % or above.",
        bars=bars,
        y_ticks=ticks,
        x_labels=[(p, f"{p} %") for p in (0, 25, 50, 75, 100)],
        headers=["Probability", *(f"{tier.capitalize()} risk" for tier in TIERS)],
        rows=[
            [
                f"{edges[i]:.0%} – {edges[i + 1]:.0%}",  # noqa: RUF001
                *(words.count(counts[tier][i]) for tier in TIERS),
            ]
            for i in range(_BINS)
        ],
        legend=tuple((tier, f"{tier.capitalize()} risk") for tier in TIERS),
        unit="probability of no purchase",
    )


def _decile_shares(known: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the share of CLV of each tenth of the customers, the most valuable first."""
    values = np.sort(known["clv"].to_numpy(dtype=np.float64))[::-1]
    total = values.sum()
    if not len(values) or total <= 0:
        return np.zeros(10)
    parts = np.array([part.sum() for part in np.array_split(values, 10)], dtype=np.float64)
    return np.asarray(parts / total, dtype=np.float64)


def _value_chart(known: pd.DataFrame, words: _Words) -> _Chart | None:
    if known.empty:
        return None
    shares = _decile_shares(known)
    top, ticks = _scale(float(shares.max()), words.percent)
    names = ["top 10 %", *(f"{i * 10}–{i * 10 + 10} %" for i in range(1, 10))]  # noqa: RUF001
    return _Chart(
        title=f"The top 10 % of customers hold {words.percent(float(shares[0]))} of the value",
        note="Share of the lifetime value held by each tenth",
        alt="Bar chart of the share of lifetime value by decile of customers: "
        + ", ".join(f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True))
        + ".",
        bars=[
            _bar(i, 10, 0, float(s), top, "lead" if i == 0 else "plain", f"{names[i]}: {s:.1%}")
            for i, s in enumerate(shares)
        ],
        y_ticks=ticks,
        x_labels=[(5 + 10 * i, str(i + 1)) for i in range(10)],
        headers=["Customers", "Share of value"],
        rows=[[name, words.percent(s, 1)] for name, s in zip(names, shares, strict=True)],
        unit="tenths of the customers, the most valuable first",
    )


def _month_charts(ledger: Ledger, as_of: dt.date, words: _Words) -> list[_Chart]:
    """Return sales and buyers by month, the last two years."""
    rows = known_rows(ledger.transactions, as_of)
    sales = rows.group_by(month=rows.timestamp.truncate("M").date()).agg(net=rows.amount.sum())
    bought = purchases(ledger.transactions, as_of, ledger.purchase_unit)
    buyers = bought.group_by(month=bought.day.truncate("M")).agg(n=bought.customer_id.nunique())
    net = {r["month"]: float(r["net"]) for r in sales.to_pyarrow().to_pylist()}
    count = {r["month"]: float(r["n"]) for r in buyers.to_pyarrow().to_pylist()}
    if not net:
        return []
    days = pd.period_range(min(net), max(net), freq="M")[-_MONTHS_SHOWN:]
    months = [period.to_timestamp().date() for period in days]
    last = as_of - dt.timedelta(days=1)
    partial = set()
    if as_of.day != 1:
        partial.add(last.replace(day=1))
    if ledger.first_day.day != 1:
        partial.add(ledger.first_day.replace(day=1))
    sold = "Sales by month", "Net amount, returns taken off"
    active = "Active customers by month", "Customers with a purchase"
    return [
        _month_chart(*sold, net, months, partial, words.money_tick, words.money),
        _month_chart(*active, count, months, partial, words.tick, words.count),
    ]


def _month_chart(
    title: str,
    note: str,
    values: Mapping[dt.date, float],
    months: Sequence[dt.date],
    partial: set[dt.date],
    tick: Callable[[float], str],
    full: Callable[[float], str],
) -> _Chart:
    shown = [values.get(month, 0.0) for month in months]
    names = [f"{month:%b %Y}" for month in months]
    top, ticks = _scale(max([*shown, 0.0]), tick)
    n = len(months)
    bars, rows, whole = [], [], []
    for i, (month, value, name) in enumerate(zip(months, shown, names, strict=True)):
        style = "pale" if month in partial else "plain"
        bars.append(_bar(i, n, 0, max(value, 0.0), top, style, f"{name}: {full(value)}"))
        rows.append([name + (" (part)" if month in partial else ""), full(value)])
        if month not in partial:
            whole.append((value, name))
    most = f"; the most, {full(max(whole)[0])}, in {max(whole)[1]}" if whole else ""
    return _Chart(
        title=title,
        note=note + ("; fainter months are not whole" if partial & set(months) else ""),
        alt=f"Bar chart: {title.lower()} from {names[0]} to {names[-1]}{most}.",
        bars=bars,
        y_ticks=ticks,
        x_labels=[
            (round(100 * (i + 0.5) / n, 3), f"{months[i]:%b %y}" if n > 12 else f"{months[i]:%b}")
            for i in range(0, n, math.ceil(n / 6))
        ],
        headers=["Month", title.removesuffix(" by month")],
        rows=rows,
    )


def _bar(i: int, n: int, base: float, value: float, top: float, style: str, hint: str) -> _Bar:
    """Return bar `i` of `n`, standing on `base`, on an axis that ends at `top`."""
    slot = 100 / n
    height = 100 * value / top if top else 0.0
    return _Bar(
        x=round(slot * (i + 0.09), 3),
        y=round(100 - 100 * base / top - height, 3) if top else 100.0,
        width=round(slot * 0.82, 3),
        height=round(height, 3),
        style=style,
        hint=hint,
    )


def _scale(highest: float, name: Callable[[float], str]) -> tuple[float, list[tuple[float, str]]]:
    """Return the end of an axis from 0, and its ticks (percent from the top, label)."""
    if not highest > 0:
        return 1.0, [(100.0, name(0))]
    power = 10.0 ** math.floor(math.log10(highest / 3))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if highest / (power * m) <= 4)
    n = math.ceil(highest / step - 1e-9)
    return step * n, [(round(100 - 100 * i / n, 3), name(step * i)) for i in range(n + 1)]


def _actions(known: pd.DataFrame, top_n: int, words: _Words) -> list[dict[str, Any]]:
    """Return the customers of medium or high risk with the most value at risk.

    Ties keep the order of the list.
    """
    weight = (known["churn_probability"] * known["clv"])[known["risk_tier"] != "low"]
    chosen = known.loc[weight.sort_values(ascending=False, kind="stable").index[:top_n]]
    return [_action(row, words) for row in chosen.to_dict("records")]


def _action(row: Mapping[Hashable, Any], words: _Words) -> dict[str, Any]:
    return {
        "customer": row["customer_id"],
        "risk_tier": row["risk_tier"],
        "value_tier": row["value_tier"],
        "churn": words.percent(row["churn_probability"]),
        "churn_width": round(100 * row["churn_probability"], 1),
        "churn_range": f"{words.percent(row['churn_low'])} to {words.percent(row['churn_high'])}",
        "clv": words.money(row["clv"]),
        "clv_range": f"{words.money(row['clv_low'])} to {words.money(row['clv_high'])}",
        "at_risk": words.money(row["churn_probability"] * row["clv"]),
        "reasons": [
            row[name]
            for name in ("reason_1", "reason_2", "reason_3")
            if isinstance(row[name], str) and row[name]
        ],
    }


def _quality(tables: Mapping[str, Mapping[str, Any]], words: _Words) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "source": table.get("source", ""),
            "read": words.count(table["read"]),
            "accepted": words.count(table["accepted"]),
            "quarantined": words.count(table["read"] - table["accepted"]),
            "reasons": [
                (_reason(reason), words.count(n))
                for reason, n in table.get("quarantined", {}).items()
            ]
            + (
                [("left out by `where`, not counted as read", words.count(table["left_out"]))]
                if table.get("left_out")
                else []
            ),
            "notes": list(table.get("notes", ())),
        }
        for name, table in tables.items()
    ]


def _reason(code: str) -> str:
    """Return why rows were set aside, in words.

    >>> _reason("duplicate"), _reason("no_customer"), _reason("bad_timestamp")
    ('equal to an earlier row', 'no customer', 'timestamp cannot be read')
    """
    if code in _REASON_WORDS:
        return _REASON_WORDS[code]
    kind, _, name = code.replace("_", " ").partition(" ")
    return f"{name} cannot be read" if kind == "bad" else f"{kind} {name}".strip()


def _model(model: RegisteredModel, words: _Words) -> dict[str, Any]:
    card = model.card
    cutoffs = [
        words.date(dt.date.fromisoformat(day)) for day in sorted(card.get("train_cutoffs", ()))
    ]
    metrics = []
    for name, (label, kind, meaning) in _METRICS.items():
        if name in model.metrics:
            value = model.metrics[name]
            shown = {
                "ranks": f"{value:.3f}",
                "times": f"{value:.1f}{_NB}×",  # noqa: RUF001
                "share": words.percent(value, 1),
                "signed": f"{100 * value:+.1f}{_NB}%".replace("-", "−"),  # noqa: RUF001
            }[kind]
            metrics.append({"label": label, "value": shown, "meaning": meaning})
    return {
        "label": model.label,
        "kind": "Churn" if card.get("kind") == "churn" else "Customer lifetime value",
        "trained": words.date(model.created.date()) if model.created else "",
        "version": card.get("regulars_version", ""),
        "cutoffs": f"{cutoffs[0]} to {cutoffs[-1]}" if cutoffs else "",
        "metrics": metrics,
    }
