"""`wrapped` packing (section 4.1 of the paper's code: sequences of one length, nothing padded).

Rows are joined in the order given and cut every `max_length` tokens, wherever that falls; attention crosses rows, as in
the paper. Unlike TRL 0.7 no token is dropped: what is left at the end is a last, shorter sequence.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]


def shuffled(n: int, seed: int) -> npt.NDArray[np.int64]:
    """The order in which `n` rows are packed, so that a block mixes the sources. The same for the same seed."""
    return np.random.default_rng(seed).permutation(n)


def wrap(rows: Sequence[Ids], max_length: int) -> tuple[Ids, npt.NDArray[np.int64]]:
    """All tokens in a row, and the bounds (`n + 1` of them) of the `n` sequences they are cut into."""
    joined = np.concatenate(rows) if rows else np.empty(0, np.int32)
    bounds = np.arange(0, len(joined) + max_length, max_length, dtype=np.int64)
    return joined, np.minimum(bounds, len(joined))
