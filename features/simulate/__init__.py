"""A made-up shop with all tables of the data contract and a known truth.

`simulate` writes `orders.csv` as a shop's system would export it (order lines, returns as
C-invoices, dirty rows), the other tables under their standard names, and the truth:

`truth.parquet` has one row a customer:

- `customer_id`, `channel`, `acquisition_cost`: who, won how and at what cost.
- `first_order_at`; `alive_until`: dropout, often after the last day; `is_alive` at its end.
- `purchase_rate`, `dropout_rate`: a week while alive, before season, campaigns and programme.
- `dropout_risk_90`: the chance that one who is alive drops out within 90 days.
- `mean_spend`: mean value of an order.
- `intent`: browsing sessions a week beside those that end in an order.
- `satisfaction`, `deal_seeking`: hidden traits behind answers, tickets and discounts.
- `effect_email`, `effect_voucher`, `effect_call`: relative change of the purchase rate in the
  window of a campaign of that kind, when treated.
- `effect_loyalty`, `enrolled_at`: relative change of the purchase rate from enrolment on.
- `pass_cancel_probability`: chance to cancel the delivery pass at a renewal, if there is one.
- `orders`, `expected_orders`: made, and expected given the rates and all that happened before.
- `purchases`, `net_spend`: days with a positive net amount, and money net of returns; without
  dirt and postage.
- `expected_orders_next_year`, `purchase_probability_next_year`, `expected_spend_next_year`: in
  the 365 days after the last day, for one who knows the hidden state; no further campaigns.
- `expected_value_three_years`: value of the orders expected in the three years from the first
  one on, from the rates and the mean spend alone.

`truth_contacts.parquet`, one row a campaign contact: the customer's effect, and what is
expected in the campaign's window in each arm for one who knows the state at contact.
`simulation.json`: the arguments, the counts, and what is true of all customers; a folder
without it is not a whole simulation.
"""

from features.simulate.simulation import FILES, MAPPING, START, Simulation, simulate
from features.simulate.truth import no_purchase_given_history

__all__ = ["FILES", "MAPPING", "START", "Simulation", "no_purchase_given_history", "simulate"]
