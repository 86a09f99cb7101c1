"""The parameters that the cells share, under ``torch.nn.LSTMCell``'s names and layout."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recurrent.checks import check_sizes


def add_parameters(cell: nn.Module, num_gates: int, input_size: int, hidden_size: int) -> None:
    """Give a cell ``weight_ih, weight_hh, bias_ih, bias_hh``, gates stacked along the rows.

    Raises:
        ValueError: If a size is not positive.
    """
    check_sizes(input_size=input_size, hidden_size=hidden_size)
    rows = num_gates * hidden_size
    cell.weight_ih = nn.Parameter(torch.empty(rows, input_size))
    cell.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
    cell.bias_ih = nn.Parameter(torch.empty(rows))
    cell.bias_hh = nn.Parameter(torch.empty(rows))


def torch_default_(cell: nn.Module, generator: torch.Generator | None = None) -> None:
    """Uniform on ±1/√hidden_size for every matrix and bias: what ``torch.nn``'s cells start from."""
    bound = float(cell.hidden_size) ** -0.5  # type: ignore[arg-type]
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        parameter = getattr(cell, name, None)
        if parameter is not None:
            nn.init.uniform_(parameter, -bound, bound, generator=generator)


def layer_state_dict(
    module: nn.RNN | nn.LSTM | nn.GRU, layer: int = 0, *, reverse: bool = False
) -> Mapping[str, Tensor]:
    """The ``state_dict`` of one layer and direction of a ``torch.nn`` module, as the cells name it.

    Raises:
        ValueError: If the module has no such layer or direction, no biases, or a projection.

    Example:
        >>> from recurrent import LSTMCell
        >>> cell = LSTMCell(3, 4)
        >>> cell.load_state_dict(layer_state_dict(nn.LSTM(3, 4)))
        <All keys matched successfully>
    """
    suffix = f"_l{layer}" + ("_reverse" if reverse else "")
    if not 0 <= layer < module.num_layers or (reverse and not module.bidirectional):
        raise ValueError(
            f"no weights {suffix!r} in a module of {module.num_layers} layer(s) with "
            f"bidirectional={module.bidirectional}; choose an existing layer and direction"
        )
    if not module.bias or module.proj_size:
        raise ValueError(
            f"the cells have biases and no projection, got bias={module.bias} and proj_size={module.proj_size}"
        )
    weights = module.state_dict()
    return {name: weights[name + suffix] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
