"""Which rows make an optimizer step, and how they are cut over processes and accumulation.

The order of an epoch depends on the seed and the epoch alone, and step k takes its k-th `global_batch_size` rows: the
same rows on any number of processes, after any interruption. An epoch's last step may have fewer rows; they are cut
evenly too, and none counts twice.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zephyr.train.balance import Lengths, alike, even


@dataclass(frozen=True, kw_only=True)
class Micro:
    """One forward pass of one process."""

    rows: int
    """Rows of its own; as many on every process, since collectives need equal shapes."""
    stands_in: bool | None = None
    """None: no more rows than these. Otherwise one more row follows; True: it only fills the shape and must not count,
    because fewer rows than processes were left over."""

    @property
    def size(self) -> int:
        """Rows in all."""
        return self.rows + (self.stands_in is not None)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How an optimizer step's rows are spread: alike for every step but the last of an epoch."""

    global_batch_size: int
    """Rows of a whole step."""
    micro_batch_size: int
    """Most rows of a forward pass."""
    processes: int
    """Processes that share a step."""

    def of(self, rows: int, rank: int) -> list[Micro]:
        """The forward passes of one process for a step of that many rows; equally many on every process."""
        each, left = divmod(rows, self.processes)
        sizes = [min(self.micro_batch_size, each - start) for start in range(0, each, self.micro_batch_size)]
        micros = [Micro(rows=size) for size in sizes]
        if left == 0:
            return micros
        most = self.global_batch_size // (self.micro_batch_size * self.processes)
        own = micros.pop().rows if len(micros) == most else 0  # no forward pass left: the last one takes a row more
        micros.append(Micro(rows=own, stands_in=rank >= left))
        return micros

    def positions(self, rows: int, rank: int) -> list[list[int]]:
        """Positions within the step that one process takes, for each of its forward passes."""
        taken, start = [], 0
        for micro in self.of(rows, rank):
            first = start + rank * micro.rows
            mine = list(range(first, first + micro.rows))
            start += micro.rows * self.processes
            if micro.stands_in is not None:
                mine.append(0 if micro.stands_in else start + rank)
            taken.append(mine)
        return taken


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What a row costs in a forward pass."""

    tokens: Lengths
    """Of each row of the data set."""
    padded: bool
    """Whether a micro-batch costs its rows times its longest, or the sum of its rows."""


class StepBatches:
    """A batch sampler for one process: lists of row numbers, one for each forward pass of an epoch."""

    def __init__(self, rows: int, cut: Cut, *, rank: int, seed: int, weights: Weights | None = None) -> None:
        """`rows`: rows of the data set; `rank`: which of the processes; `seed`: of the order; `weights`: by which whole
        steps are balanced, None: rows stay where the order has put them."""
        self.rows, self.cut, self.rank, self.seed, self.weights = rows, cut, rank, seed, weights
        self.epoch = 0
        self.batch_size, self.drop_last = cut.micro_batch_size, False  # read by accelerate

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is that epoch's."""
        self.epoch = epoch

    def steps(self) -> int:
        """Optimizer steps of an epoch."""
        return math.ceil(self.rows / self.cut.global_batch_size)

    def rows_in(self, step: int) -> int:
        """Rows of the optimizer step of that number, counted from 0 within an epoch."""
        return min(self.cut.global_batch_size, self.rows - step * self.cut.global_batch_size)

    def __len__(self) -> int:
        whole, rest = divmod(self.rows, self.cut.global_batch_size)
        return whole * len(self.cut.of(self.cut.global_batch_size, 0)) + (len(self.cut.of(rest, 0)) if rest else 0)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.rows)
        for step in range(self.steps()):
            start = step * self.cut.global_batch_size
            if self.weights is not None and self.rows_in(step) == self.cut.global_batch_size:
                window = slice(start, start + self.cut.global_batch_size)
                order[window] = order[window][self._balanced(self.weights, order[window])]
            for positions in self.cut.positions(self.rows_in(step), self.rank):
                yield [int(order[start + position]) for position in positions]

    def _balanced(self, weights: Weights, rows: np.ndarray) -> list[int]:
        lengths = weights.tokens[rows]
        if weights.padded:
            return alike(lengths)
        return even(lengths, self.cut.micro_batch_size, self.cut.processes)
