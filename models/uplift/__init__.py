"""What an action causes: measured by experiments, foreseen for each customer by uplift models."""
