"""Customers are looked for in what MLflow keeps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from serving.forget.models import artifact_folders, holding


def test_ids_are_found_as_words_and_numbers_only_in_quotes(tmp_path: Path) -> None:
    files = {
        "a.json": json.dumps({"data": [["CUST-1", 5], ["x y", 6]]}),
        "b.json": '{"metric": 13085, "p": 0.13085}',
        "c.json": '{"customer_id": "13085"}',
        "d.txt": "CUST-12 is another one",
        "e.py": "CUST-1",
        "f.csv": "a\nCUST-1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    np.savez_compressed(tmp_path / "g.npz", ids=np.array(["CUST-1", "z"]), n=np.arange(3))
    pd.DataFrame({"id": ["x y"]}).to_parquet(tmp_path / "h.parquet")
    (tmp_path / "i.npz").write_bytes(b"no archive")
    found = {
        path.name: set(ids) for path, ids in holding([tmp_path], {"CUST-1", "x y", "13085"}).items()
    }
    assert found == {
        "a.json": {"CUST-1", "x y"},
        "c.json": {"13085"},
        "f.csv": {"CUST-1"},
        "g.npz": {"CUST-1"},
        "h.parquet": {"x y"},
    }


def test_an_id_across_the_pieces_of_a_long_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    path.write_bytes(b" " * ((1 << 22) - 3) + b"CUST-1 " + b" " * 100)
    assert holding([path], {"CUST-1"}) == {path: frozenset({"CUST-1"})}


def test_a_store_that_is_not_on_this_machine_has_no_folders(tmp_path: Path) -> None:
    assert artifact_folders("http://localhost:5000") is None
    assert artifact_folders(f"sqlite:///{tmp_path / 'none.db'}") == []
