"""What a customer is likely to buy next: an item of any kind, and one they never bought before.

Items are categories or products. Each ranking of items is one of a few short methods; training
decides by a later period which one is used, and names it:

- `popularity`: the items that most customers have bought;
- `recent_popularity`: the same, of late;
- `repeat`: what the customer has bought on most days, of equals the more popular;
- `ease`: items that go with what the customer has bought. Weights by EASE, the closed form of a
  linear autoencoder without self-similarity (Steck 2019, WWW, "Embarrassingly Shallow Autoencoders
  for Sparse Data", eq. 8): with G = X'X + l2 I and P the inverse of G, B = I - P / diag(P);
- `repeat_ease`: as `repeat`, of equals what goes with the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from .base import ModelError

__all__ = ["BASELINES", "METHODS", "QUESTIONS", "NextPurchase", "history_text"]

QUESTIONS = ("next", "new")
"""What is asked: the next item, or the next item that the customer never bought before."""
BASELINES: Mapping[str, tuple[str, ...]] = {
    "next": ("popularity", "recent_popularity", "repeat"),
    "new": ("popularity", "recent_popularity"),
}
"""Question -> the methods that a model has to beat, the simplest first."""
METHODS: Mapping[str, tuple[str, ...]] = {
    "next": (*BASELINES["next"], "repeat_ease", "ease"),
    "new": (*BASELINES["new"], "ease"),
}
"""Question -> the methods that can answer it, the simplest first."""

MAX_ITEMS = 2000
"""Most items that are told apart: the most bought. EASE inverts a matrix of that size."""
MIN_BUYERS = 5
"""An item of fewer buyers says next to nothing about others, and may be made for one of them."""
NEIGHBOURS = 100
"""Weights that are kept of each item: the greatest without regard to sign."""
SHOWN = 3
"""Items named in a prediction, for each question."""
_FILE = "weights.npz"
_BLOCK = 4096

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NextPurchase:
    """A fitted model; make one with `fit`.

    Attributes:
        item: What an item is: `category` or `product_id`.
        items: Keys, the most popular first, (m,).
        names: How they are written, (m,).
        recent: Share of customers who bought it of late, (m,).
        methods: Question -> method.
        weights: EASE weights from an item bought to an item foretold, (m, m).
        l2: Their penalty.
    """

    kind: ClassVar[str] = "next_purchase"
    text_columns: ClassVar[tuple[str, ...]] = ("bought",)

    item: str
    items: tuple[str, ...]
    names: tuple[str, ...]
    recent: Floats
    methods: Mapping[str, str]
    weights: sparse.csr_array
    l2: float

    def __post_init__(self) -> None:
        for question in QUESTIONS:
            if self.methods.get(question) not in METHODS[question]:
                raise ModelError(
                    f"{self.methods.get(question)!r} does not answer the question {question!r}",
                    f"Methods: {', '.join(METHODS[question])}.",
                )

    @classmethod
    def fit(
        cls,
        counts: sparse.csr_array,
        recent: npt.NDArray[np.bool_],
        items: npt.NDArray[np.object_],
        names: npt.NDArray[np.object_],
        *,
        item: str,
        methods: Mapping[str, str],
        l2: float = 200.0,
    ) -> Self:
        """Learn from what customers have bought.

        Args:
            counts: Days on which a customer bought an item, (n, m).
            recent: Of each stored entry of `counts`, whether it was bought of late, (e,).
            items: Keys, (m,).
            names: How they are written, (m,).
            item: What an item is.
            methods: Question -> method, of `METHODS`.
            l2: Penalty of the weights, above 0: the greater, the nearer to popularity.

        Raises:
            ModelError: No item has `MIN_BUYERS` buyers, or the penalty is not above 0.
        """
        if not counts.nnz:
            raise ModelError("nothing can be learned from customers who bought nothing")
        if not l2 > 0:
            raise ModelError(f"l2 must be above 0, got {l2}")
        buyers = np.bincount(counts.indices, minlength=counts.shape[1])
        lately = np.bincount(counts.indices[recent], minlength=counts.shape[1])
        kept = np.lexsort((items.astype(str), -buyers))[:MAX_ITEMS]
        kept = kept[buyers[kept] >= MIN_BUYERS]
        if not len(kept):
            raise ModelError(f"no {item} was bought by {MIN_BUYERS} customers")
        return cls(
            item,
            tuple(str(key) for key in items[kept]),
            tuple(str(name) for name in names[kept]),
            lately[kept] / counts.shape[0],
            dict(methods),
            _ease(counts[:, kept], l2),
            float(l2),
        )

    def with_methods(self, methods: Mapping[str, str]) -> Self:
        """Return the same model with other methods."""
        return type(self)(
            self.item, self.items, self.names, self.recent, dict(methods), self.weights, self.l2
        )

    def rank(
        self, counts: sparse.csr_array, question: str, k: int, method: str | None = None
    ) -> npt.NDArray[np.int64]:
        """Return the positions in `items` of the k best items of each customer, (n, k).

        Of equals the more popular comes first; -1 where no item is left.

        Args:
            counts: Days on which a customer bought an item, columns as `items`, (n, m).
            question: Of `QUESTIONS`.
            k: How many.
            method: Another one than the model's own.
        """
        chosen = method or self.methods[question]
        found = np.empty((counts.shape[0], k), dtype=np.int64)
        for start in range(0, counts.shape[0], _BLOCK):
            block = counts[start : start + _BLOCK]
            scores = self._scores(block, chosen)
            if question == "new":
                scores[block.nonzero()] = -np.inf
            rows = np.arange(len(scores))
            for place in range(k):
                best = scores.argmax(axis=1)
                found[start : start + _BLOCK, place] = np.where(
                    np.isneginf(scores[rows, best]), -1, best
                )
                scores[rows, best] = -np.inf
        return found

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the items a customer is likely to buy next, by name, the likeliest first.

        Args:
            features: bought: JSON text such as `{"gifts": 3, "garden": 1}`, the days on which the
                customer bought each item, by key (in lower case); `{}` where nothing is known.

        Returns:
            On its index, text: next_1 to next_3, and new_1 to new_3 (never bought before); empty
            where no item is left.

        Raises:
            ModelError: The column is missing or is not such a text.
        """
        if "bought" not in features.columns:
            raise ModelError("the column bought is missing: what each customer bought, as JSON")
        counts = self.counts(features["bought"].tolist())
        names = np.array([*self.names, ""], dtype=object)  # -1 is the last: nothing
        columns = {}
        for question in QUESTIONS:
            ranked = self.rank(counts, question, SHOWN)
            for place in range(SHOWN):
                columns[f"{question}_{place + 1}"] = pd.Series(
                    names[ranked[:, place]], index=features.index, dtype="str"
                )
        return pd.DataFrame(columns, index=features.index)

    def counts(self, bought: list[str]) -> sparse.csr_array:
        """Read JSON texts of what customers bought; items that are not known are left out."""
        place = {key: i for i, key in enumerate(self.items)}
        starts, columns, days = [0], [], []
        for text in bought:
            try:
                entries = json.loads(text)
                for key, value in entries.items():
                    at = place.get(key)
                    if at is not None:
                        columns.append(at)
                        days.append(float(value))
            except (TypeError, ValueError, AttributeError) as error:
                raise ModelError(
                    f"{text!r} does not say what was bought ({error})",
                    'Write JSON such as {"gifts": 3}, the days on which each item was bought.',
                ) from error
            starts.append(len(columns))
        shape = (len(bought), len(self.items))
        return sparse.csr_array((np.array(days), np.array(columns, dtype=np.int64), starts), shape)

    def _scores(self, counts: sparse.csr_array, method: str) -> Floats:
        n, m = counts.shape
        if method == "popularity":
            return np.tile(-np.arange(m, dtype=np.float64), (n, 1))
        if method == "recent_popularity":
            return np.tile(self.recent, (n, 1))
        days = counts.toarray().astype(np.float64)
        if method == "repeat":
            return days
        related = np.asarray((_damped(counts) @ self.weights).toarray(), dtype=np.float64)
        if method == "ease":
            return related
        # Whole days count; what goes with the rest only settles ties.
        most = np.maximum(np.abs(related).max(axis=1, keepdims=True), 1e-12)
        return np.asarray(days + 0.49 * related / most, dtype=np.float64)

    def to_folder(self, folder: Path) -> dict[str, Any]:
        """Write the weights; return everything else."""
        coordinates = self.weights.tocoo()
        np.savez(
            folder / _FILE,
            row=coordinates.row.astype(np.int32),
            column=coordinates.col.astype(np.int32),
            weight=coordinates.data.astype(np.float32),
            recent=self.recent,
        )
        return {
            "item": self.item,
            "items": list(self.items),
            "names": list(self.names),
            "methods": dict(self.methods),
            "l2": self.l2,
        }

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Read back what `to_folder` wrote."""
        with np.load(folder / _FILE, allow_pickle=False) as stored:
            m = len(description["items"])
            entries = (stored["weight"], (stored["row"], stored["column"]))
            weights = sparse.csr_array(entries, shape=(m, m))
            recent = stored["recent"].astype(np.float64)
        return cls(
            str(description["item"]),
            tuple(description["items"]),
            tuple(description["names"]),
            recent,
            dict(description["methods"]),
            weights,
            float(description["l2"]),
        )


def history_text(bought: Mapping[str, int]) -> str:
    """Write what a customer bought as `NextPurchase.predict` reads it.

    >>> history_text({"gifts": 3, "garden": 1})
    '{"garden": 1, "gifts": 3}'
    """
    return json.dumps(bought, ensure_ascii=False, sort_keys=True)


def _damped(counts: sparse.csr_array) -> sparse.csr_array:
    """Days as ln(1 + days): the tenth purchase says less than the second."""
    damped = counts.astype(np.float64, copy=True)
    damped.data = np.log1p(damped.data)
    return damped


def _ease(counts: sparse.csr_array, l2: float) -> sparse.csr_array:
    """Weights (m, m), float32, the greatest of each row only."""
    damped = _damped(counts)
    gram = np.asarray((damped.T @ damped).toarray(), dtype=np.float64)
    gram[np.diag_indices_from(gram)] += l2
    inverse = np.linalg.inv(gram)
    weights = (-inverse / np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0.0)
    m = len(weights)
    if m > NEIGHBOURS:
        small = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, NEIGHBOURS:]
        np.put_along_axis(weights, small, 0.0, axis=1)
    return sparse.csr_array(weights)
