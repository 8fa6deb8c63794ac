"""How far to trust the churn model: measures, calibration, and what a campaign by it earns."""

from __future__ import annotations

from models.metrics.probability import level_is_off
from serving.report.blocks import Block, Cell, Figure, Section, Table
from serving.report.charts import ACCENT, lines, ranked
from serving.report.story import Story

__all__ = ["churn", "model_table"]

_MEASURES = {
    "churn/roc_auc": "rank",
    "churn/lift_at_10": "times",
    "churn/brier": "rank",
    "churn/ece": "share",
    "churn/mean_p_minus_rate": "signed",
}
_SHOWN_POLICIES = ("model", "btyd", "recency_rule", "everyone", "random", "nothing")


def churn(story: Story) -> Section:
    """Calibration and the money curve of the champion, measured on a later time."""
    w, model = story.words, story.material.churn
    found = [_calibration(story), _money(story), _policies(story)]
    blocks: list[Block] = [figure for figure in found if figure is not None]
    measures = model_table(story, "regulars-churn", _MEASURES)
    if measures is not None:
        blocks.append(measures)
    missing = [] if len(blocks) > 1 else [w.t("churn.no_run", model=model.label)]
    return Section("churn", w.t("churn.title"), _lead(story), blocks, missing)


def _lead(story: Story) -> str:
    """How it was measured, and whether the level was off."""
    w, ends = story.words, story.material.table("regulars-churn", "intervals")
    lead = w.t("churn.lead")
    if ends.empty:
        return lead
    for row in ends[ends["measure"] == "churn/mean_p_minus_rate"].to_dict("records"):
        if level_is_off(row["value"], row["low"], row["high"]):
            gap, low, high = (w.signed(row[name], "share") for name in ("value", "low", "high"))
            between = w.t("range", low=low, high=high)
            return w.t("churn.lead_off", lead=lead, gap=gap, between=between)
    return lead


def model_table(story: Story, name: str, shown: dict[str, str]) -> Table | None:
    """A model's measures with their meaning; None where its run has none."""
    w, m = story.words, story.material
    model = m.churn if name == "regulars-churn" else m.clv
    between = m.table(name, "intervals")
    ends = {} if between.empty else between.set_index("measure").to_dict("index")
    rows: list[list[str | Cell]] = []
    for measure, kind in shown.items():
        if measure not in model.metrics:
            continue
        interval = ""
        if measure in ends:
            low, high = (_write(story, ends[measure][end], kind) for end in ("low", "high"))
            interval = w.t("range", low=low, high=high)
        key = measure.replace("/", ".")
        value = _write(story, model.metrics[measure], kind)
        rows.append([Cell(w.t(f"metric.{key}"), note=w.t(f"metric.{key}_means")), value, interval])
    if not rows:
        return None
    created = w.date(model.created.date()) if model.created else ""
    note = w.t("churn.model", model=model.label, day=created)
    has_ends = any(row[2] for row in rows)
    headers = [w.t("measure_word"), w.t("value_word"), w.t("interval")]
    if not has_ends:
        headers, rows = headers[:2], [row[:2] for row in rows]
    return Table(headers, rows, w.t("churn.measures"), note)


def _write(story: Story, value: float, kind: str) -> str:
    w = story.words
    if kind == "times":
        return f"{value:.2f}\u00d7"
    if kind == "share":
        return w.percent(value, 1)
    if kind == "relative":
        text = w.percent(abs(value), 1)
        return f"+{text}" if value > 0 else f"\u2212{text}" if value < 0 else text
    return w.signed(value, "share") if kind == "signed" else f"{value:.3f}"


def _calibration(story: Story) -> Figure | None:
    w = story.words
    found = story.material.table("regulars-churn", "calibration")
    if found.empty:
        return None
    name = w.t("churn.observed")
    rows, table = [], []
    for row in found.to_dict("records"):
        between = w.between(row["low"], row["high"], "share")
        tip = w.t(
            "churn.calibration_tip", said=w.percent(row["mean_p"]), n=w.count(row["customers"]),
            came=w.percent(row["churn_rate"]), between=between,
        )  # fmt: skip
        rows.append({"x": row["mean_p"], "y": row["churn_rate"], "low": row["low"],
                     "high": row["high"], "s": name, "tip": tip})  # fmt: skip
        table.append([w.percent(row["mean_p"], 1), w.percent(row["churn_rate"], 1), between,
                      w.count(row["customers"])])  # fmt: skip
    inside = int(((found["mean_p"] >= found["low"]) & (found["mean_p"] <= found["high"])).sum())
    key = "calibration_title" if inside >= 0.8 * len(found) else "calibration_off"
    title = w.t(f"churn.{key}", n=inside, of=len(found))
    spec = lines(
        w, rows, "share", {name: ACCENT}, numeric=True, x_unit="share", points=True,
        title=w.t("churn.stated"), y_title=None, diagonal=True,
    )  # fmt: skip
    headers = [w.t("churn.stated"), name, w.t("interval"), w.t("customers")]
    return Figure(
        "calibration", title, w.t("churn.calibration_note"),
        w.t("churn.calibration_alt", n=inside, of=len(found)), spec, Table(headers, table),
    )  # fmt: skip


def _money(story: Story) -> Figure | None:
    w = story.words
    found = story.material.table("regulars-churn", "profit")
    if found.empty:
        return None
    came, said = w.t("churn.realised"), w.t("churn.expected")
    rows = []
    for row in found.to_dict("records"):
        share = w.percent(row["share"])
        tip = w.t("churn.money_tip", share=share, what=said, money=w.money(row["expected"], 2))
        rows.append({"x": row["share"], "y": row["expected"], "s": said, "tip": tip})
        tip = w.t("churn.money_tip", share=share, what=came, money=w.money(row["realised"], 2))
        rows.append(
            {"x": row["share"], "y": row["realised"], "low": row["low"], "high": row["high"],
             "s": came, "tip": tip}
        )  # fmt: skip
    best = found.sort_values("realised", kind="stable").iloc[-1]
    expected = found.sort_values("expected", kind="stable").iloc[-1]
    title = w.t(
        "churn.money_title", share=w.percent(best["share"]), money=w.money(best["realised"], 2)
    )
    table = Table(
        [w.t("churn.contacted"), came, w.t("interval"), said],
        [
            [w.percent(r["share"]), w.money(r["realised"]),
             w.between(r["low"], r["high"], "money"), w.money(r["expected"])]
            for i, r in enumerate(found.to_dict("records")) if i % 5 == 0
        ],
    )  # fmt: skip
    colours = {said: "var(--second)", came: ACCENT}
    spec = lines(
        w, rows, "money", colours, numeric=True, x_unit="share", title=w.t("churn.contacted")
    )
    alt = w.t("churn.money_alt", share=w.percent(expected["share"]), best=w.percent(best["share"]))
    legend = [(colour, name) for name, colour in colours.items()]
    return Figure("money", title, w.t("churn.money_note"), alt, spec, table, legend)


def _policies(story: Story) -> Figure | None:
    w = story.words
    found = story.material.table("regulars-churn", "policies")
    if found.empty:
        return None
    found = found[found["policy"].isin(_SHOWN_POLICIES)]
    found = found.sort_values("realised_profit", ascending=False, kind="stable")
    rows, table = [], []
    for row in found.to_dict("records"):
        name = w.name("policy", row["policy"])
        text = w.money(row["realised_profit"], 2)
        between = w.between(row["low"], row["high"], "money")
        tip = w.t("churn.policy_tip", name=name, money=text, between=between)
        lead = row["policy"] == "model"
        rows.append(
            {"x": name, "y": row["realised_profit"], "text": text, "lead": lead, "tip": tip}
        )
        table.append([name, w.percent(row["contacted"]), text, between])
    headers = [w.t("churn.policy"), w.t("churn.contacted"), w.t("churn.realised"), w.t("interval")]
    first = found.iloc[0]
    key = "churn.policies_title" if first["policy"] == "model" else "churn.policies_other"
    title = w.t(key, name=w.name("policy", first["policy"]),
                money=w.money(first["realised_profit"], 2))  # fmt: skip
    return Figure(
        "policies", title, w.t("churn.policies_note"),
        w.t("alt.bars", rows=w.join(f"{row['x']} {row['text']}" for row in rows)),
        ranked(w, rows, "money"), Table(headers, table),
    )  # fmt: skip
