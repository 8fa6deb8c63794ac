"""From raw tables to what is known about each customer at a cutoff."""
