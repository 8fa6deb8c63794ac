"""Breaks: what a ledger holds that the customers did not do, found before it is learned from.

| kind | what it is |
|---|---|
| `missing_days` | open days without a sale, longer than chance explains |
| `thin_days` | days with hardly any of the usual customers |
| `last_day` | a last day that is not over, or not loaded whole |
| `arrivals` | first purchases in a mass, or none at all for a time |
| `reactivations` | customers who come back in a mass after long silence |
| `id_changes` | known customers stop on the day on which as many new ones begin |
| `returns`, `large_return` | returned rows in a mass, or worth a week of sales |
| `repeated_day`, `doubled_rows` | a day's rows under another date, or twice |
| `scale` | amounts of another size: a currency, or cents |
| `silent_table` | another table that has no new rows |

Everything is judged against the shop's own days around it, by weekday, and has to be both far from
them and beyond chance (`features.breaks.expectation`), so that a shop of any size hears little.
"""

from features.breaks.finding import KINDS, Break
from features.breaks.search import find_breaks, note_breaks

__all__ = ["KINDS", "Break", "find_breaks", "note_breaks"]
