"""What a measurement of influence holds, and what is read off it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from gnnkit.diagnostics.jacobian import Norm

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS = {"hop": "hops", "step": "steps back"}


@dataclass(frozen=True)
class Flow:
    """How strongly inputs at every distance move an output.

    The influence of an input is the norm of the Jacobian block d output / d input; that of a distance the sum
    over the inputs there, T_h of Liang et al. (arXiv 2503.09008).

    Attributes:
        influence: ``(S, L + 1)`` by hop, ``(S, T)`` by step, ``(S, L + 1, T)`` by both; index 0 is the
            output's own node, or its own step.
        by: ``("hop",)``, ``("step",)`` or ``("hop", "step")``: what the axes after the first count.
        norm: ``"l1"``, the sum of absolute values of a block, or ``"l2"``, its Frobenius norm.
        nodes: Which nodes, or sequences of a batch, the outputs are of, ``(S)``.
        elsewhere: Influence of nodes from which no path leads here, ``(S)``: 0 for message passing, not
            for global pooling.
    """

    influence: Tensor
    by: tuple[str, ...]
    norm: Norm
    nodes: Tensor
    elsewhere: Tensor

    def along(self, axis: str) -> Flow:
        """The flow by ``"hop"`` or by ``"step"`` alone: influence summed over the other.

        Raises:
            ValueError: If it was not measured.
        """
        if axis not in self.by:
            raise ValueError(f"this flow was measured by {' and '.join(self.by)}, not by {axis!r}")
        others = [place + 1 for place, name in enumerate(self.by) if name != axis]
        influence = self.influence.sum(others) if others else self.influence
        return Flow(influence, (axis,), self.norm, self.nodes, self.elsewhere)

    @property
    def shares(self) -> Tensor:
        """Influence divided by the sum over distances, output by output; NaN where an output has none."""
        total = self.influence.flatten(1).sum(1).view(-1, *[1] * len(self.by))
        return self.influence / total

    @property
    def mean(self) -> Tensor:
        """The mean of :attr:`shares` over outputs that have any influence."""
        return self.shares.nanmean(0)

    @property
    def ranges(self) -> Tensor:
        r"""How far each output's influence comes from, :math:`R = \sum_h h\,I_h / \sum_h I_h`, ``(S)``.

        The influence-weighted receptive field of Liang et al. (https://arxiv.org/abs/2503.09008, section 4) and
        the normalised node range of Bamberger et al. (https://arxiv.org/abs/2506.05971) with hop distance.
        NaN where nothing influences an output.
        """
        shares = self._one_axis().shares
        return shares @ shares.new_tensor(range(shares.size(1)))

    @property
    def range(self) -> float:
        """The mean of :attr:`ranges` over outputs that have any influence."""
        return float(self.ranges.nanmean())

    def within(self, distance: int) -> float:
        """The share of influence that comes from no farther than ``distance``, the mean over outputs.

        Raises:
            ValueError: If the distance is negative.
        """
        if distance < 0:
            raise ValueError(f"a distance is 0 or more, got {distance}")
        return float(self._one_axis().mean[: distance + 1].sum())

    def plot(self, *, title: str = "") -> Figure:
        """The flow as a picture: influence against distance, or over hops and steps both."""
        from gnnkit.plots.flow import flow_figure, light_cone

        if len(self.by) == 2:
            return light_cone(self.mean, title=title)
        return flow_figure({f"range {self.range:.2f}": self.shares}, distance=UNITS[self.by[0]], title=title)

    def _one_axis(self) -> Flow:
        if len(self.by) > 1:
            raise ValueError(f"a flow by {' and '.join(self.by)} has no single distance; take .along({self.by[0]!r})")
        return self

    def __repr__(self) -> str:
        shape = " x ".join(str(size) for size in self.influence.shape)
        return f"Flow({shape}, by {' and '.join(self.by)}, {self.norm})"
