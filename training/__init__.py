"""Fit, evaluate out of time, log, compare, promote."""
