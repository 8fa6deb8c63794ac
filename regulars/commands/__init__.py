"""The commands, one file for each stage of the work.

In the order in which a shop meets them: `start`, look at the `data`, `learn` from it, `score` the
customers, plan a `campaign`, follow the `business`.

A command reads its options and the configuration, calls one part, and says what came out. The parts
are imported inside the commands, so that `--help` answers at once.
"""
