"""Measures of a forecast against what happened: plain functions of arrays.

`y` is what happened, `p` (or `predicted`) what was forecast, one entry a customer. Every measure of
ranking treats customers with the same score as one group, in expectation over their random order,
so no number depends on the order of rows. A measure that is not defined for its input (one class
only, nothing bought by anybody) is `nan`.

`ranking` (who comes first), `probability` (does 70 % mean 70 %), `profit` (what a campaign earns),
`amount` (how many, how much), `distribution` (intervals and draws) and `bootstrap` (how sure each
measure is). Training judges candidates with them, serving the lists that were scored.
"""
