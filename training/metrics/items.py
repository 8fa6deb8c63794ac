"""Was the item that came next among those named? Measures of ranked lists, customer by customer."""

import numpy as np
import numpy.typing as npt

from models.metrics.inputs import Array

__all__ = ["ranked_items"]


def ranked_items(hits: npt.NDArray[np.bool_], relevant: npt.NDArray[np.int64]) -> dict[str, Array]:
    """How good each customer's list of k items is.

    Args:
        hits: Whether the item at each place of the list was bought, the first place first, (n, k).
        relevant: How many items the customer bought, on the list or not, at least 1, (n,).

    Returns:
        Vectors (n,):

        - hit_rate: 1 where any item of the list was bought, else 0;
        - recall: share of the items bought that are on the list;
        - ndcg: gains 1 / log2(place + 1), over those of the best possible list of k (Jarvelin and
          Kekalainen 2002, ACM TOIS 20:422-446).

    Raises:
        ValueError: The shapes do not fit, or a customer bought nothing.

    >>> found = ranked_items(np.array([[False, True], [True, False]]), np.array([1, 4]))
    >>> {name: values.round(3).tolist() for name, values in found.items()}
    {'hit_rate': [1.0, 1.0], 'recall': [1.0, 0.25], 'ndcg': [0.631, 0.613]}
    """
    if hits.ndim != 2 or relevant.shape != hits.shape[:1]:
        raise ValueError(f"expected n x k hits and n counts, got {hits.shape}, {relevant.shape}")
    if (relevant < 1).any():
        raise ValueError("expected customers who bought an item")
    k = hits.shape[1]
    gain = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(gain)[np.minimum(relevant, k) - 1]
    return {
        "hit_rate": hits.any(axis=1).astype(np.float64),
        "recall": hits.sum(axis=1) / relevant,
        "ndcg": (hits * gain).sum(axis=1) / best,
    }
