"""The portfolio: how value and risk are spread over the customers, and how that moves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import TIERS
from serving.report.blocks import Block, Cell, Figure, Section, Table
from serving.report.charts import columns
from serving.report.figures import time_figure
from serving.report.story import Story

__all__ = ["portfolio"]

_BINS = 20


def portfolio(story: Story) -> Section:
    """Concentration, risk, and moves between tiers."""
    w, known = story.words, story.material.known
    blocks: list[Block] = []
    if len(known):
        blocks += [_value(story, known), _risk(story, known)]
    share = story.long.series("revenue_share_top10")
    if len(share):
        last = share.iloc[-1]
        title = w.t(
            "portfolio.top_title",
            share=w.percent(last["value"]),
            period=w.period(str(last["period"])),
        )
        figure = time_figure(
            story, "top10", ["revenue_share_top10"], title, w.t("portfolio.top_note")
        )
        if figure:
            blocks.append(figure)
    if (moves := _migration(story)) is not None:
        blocks.append(moves)
    return Section(
        "portfolio", w.t("portfolio.title"), w.t("portfolio.lead"), blocks,
        story.lacking("revenue_share_top10", "tier_migration"),
    )  # fmt: skip


def _value(story: Story, known: pd.DataFrame) -> Figure:
    w = story.words
    shares = decile_shares(known["clv"].to_numpy(dtype=np.float64))
    names = [w.t("portfolio.tenth", low=10 * i, high=10 * i + 10) for i in range(10)]
    rows = [
        {
            "x": str(10 * i + 10) + "%",
            "y": round(float(share), 5),
            "lead": i == 0,
            "tip": w.t("tip", what=names[i], value=w.percent(float(share), 1)),
        }
        for i, share in enumerate(shares)
    ]
    table = Table(
        [w.t("customers"), w.t("portfolio.share")],
        [[name, w.percent(float(s), 1)] for name, s in zip(names, shares, strict=True)],
    )
    return Figure(
        "value", w.t("portfolio.value_title", share=w.percent(float(shares[0]))),
        w.t("portfolio.value_note"), w.t("alt.bars", rows=w.join(str(r["tip"]) for r in rows)),
        columns(w, rows, "share", title=w.t("portfolio.value_axis")), table,
    )  # fmt: skip


def _risk(story: Story, known: pd.DataFrame) -> Figure:
    w = story.words
    edges = np.linspace(0, 1, _BINS + 1)
    names = {tier: w.t(f"risk.{tier}") for tier in TIERS}
    colours = {names[tier]: f"var(--{tier})" for tier in TIERS}
    rows, table = [], []
    counts = {
        tier: np.histogram(known.loc[known["risk_tier"] == tier, "churn_probability"], edges)[0]
        for tier in TIERS
    }
    for i in range(_BINS):
        span = w.t("range", low=f"{edges[i]:.0%}", high=f"{edges[i + 1]:.0%}")
        for tier in TIERS:
            tip = w.t("tip", what=f"{span}, {names[tier]}", value=w.count(counts[tier][i]))
            rows.append(
                {"x": f"{edges[i]:.0%}", "y": int(counts[tier][i]), "s": names[tier], "tip": tip}
            )
        table.append([span, *(w.count(counts[tier][i]) for tier in TIERS)])
    half = float((known["churn_probability"] >= 0.5).mean())
    return Figure(
        "risk", w.t("portfolio.risk_title", share=w.percent(half)), w.t("portfolio.risk_note"),
        w.t("portfolio.risk_alt", n=w.count(len(known)), share=w.percent(half)),
        columns(w, rows, "count", colours=colours, title=w.t("portfolio.risk_axis")),
        Table([w.t("probability"), *names.values()], table),
        [(colours[name], name) for name in names.values()],
    )  # fmt: skip


def _migration(story: Story) -> Table | None:
    w = story.words
    every = story.long.by("tier_migration", "from", "to", period=None)
    every = every[every["period"] != "all"]
    if every.empty:
        return None
    period = str(every["period"].max())
    found = every[every["period"] == period]
    values = found.set_index(["from", "to"])["value"].to_dict()
    sizes = found.groupby("from")["n"].max().to_dict()
    rank = {name: i for i, name in enumerate(("high", "medium", "low", "none", "new"))}
    starts, ends = (
        sorted(set(found[side]), key=lambda name: (rank.get(name, 99), name))
        for side in ("from", "to")
    )
    rows: list[list[str | Cell]] = []
    for start in starts:
        cells = [float(values.get((start, end), 0.0)) for end in ends]
        rows.append(
            [
                Cell(w.name("tier", start), note=w.t("n_customers", n=w.count(sizes[start]))),
                *(Cell(w.percent(v), v, shade=v) for v in cells),
            ]
        )
    stayed = [float(values.get((name, name), 0.0)) * sizes[name] for name in starts]
    total = sum(sizes.values())
    return Table(
        [w.t("portfolio.from"), *(w.t("portfolio.to", tier=w.name("tier", e)) for e in ends)],
        rows,
        w.t(
            "portfolio.moves_title",
            share=w.percent(sum(stayed) / total if total else 0.0),
            period=w.period(period),
        ),
        w.t("portfolio.moves_note"),
        wide=False,
    )


def decile_shares(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The share of the sum that each tenth holds, the most valuable first; shape (10,)."""
    ordered = np.sort(values)[::-1]
    total = ordered.sum()
    if not len(ordered) or total <= 0:
        return np.zeros(10)
    parts = np.array([part.sum() for part in np.array_split(ordered, 10)], dtype=np.float64)
    return np.asarray(parts / total, dtype=np.float64)
