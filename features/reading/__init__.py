"""How raw files and databases become typed rows: what `source` and `quality` are made of."""
