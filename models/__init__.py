"""Models that learn from snapshots and predict for a customer; no reading, writing or tracking."""
