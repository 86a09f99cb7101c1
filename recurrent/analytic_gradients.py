r"""The gradients of a simple RNN by hand, for a loss at the last step.

.. code-block:: text

    h_t = tanh(W_hx x_t + W_hh h_{t-1} + b_h)      p = W_ph h_T + b_p      ŷ = softmax(p)
    L = -Σ_k y_k log ŷ_k

    ∂ŷ_i/∂p_k = ŷ_i (1 - ŷ_i) for k = i, else -ŷ_i ŷ_k
    ∂L/∂p     = ŷ - y
    ∂L/∂W_ph  = (ŷ - y) h_Tᵀ
    ∂L/∂h_T   = W_phᵀ (ŷ - y)
    ∂L/∂h_k   = [Π_{j=T..k+1} diag(1 - h_j²) W_hh]ᵀ ∂L/∂h_T
    ∂L/∂W_hh  = Σ_k (diag(1 - h_k²) ∂L/∂h_k) h_{k-1}ᵀ

The products are of full Jacobians ∂h_j/∂h_{j-1} = diag(1 - h_j²) W_hh, not element by element:
every unit hears every other. W_ph's gradient depends on the last state alone, W_hh's on all of
them through a product of T - k factors, which is why it vanishes (or explodes) with T.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurrent.cells.rnn import RNNCell
from recurrent.unroll import unroll


class RNNGradients(NamedTuple):
    """The loss, and its gradients for the output map, the cell's parameters and every state."""

    loss: Tensor
    weight_ph: Tensor
    bias_p: Tensor
    weight_hx: Tensor
    weight_hh: Tensor
    bias_h: Tensor
    hidden: Tensor  # ∂L/∂h_t, [B, T, hidden_size]


@torch.no_grad()
def rnn_gradients(cell: RNNCell, output_map: nn.Linear, inputs: Tensor, targets: Tensor) -> RNNGradients:
    r"""The gradients of the mean cross-entropy at the last step, by the formulas above.

    ``bias_h`` is the gradient of either of torch's two biases, since they add up.

    Args:
        cell: A tanh cell.
        output_map: W_ph and b_p.
        inputs: Sequences.
        targets: Classes.

    Shapes:
        - **inputs:** :math:`(B, T, input\_size)`
        - **targets:** :math:`(B)`

    Raises:
        ValueError: If the cell is not a tanh cell.
    """
    if cell.nonlinearity != "tanh":
        raise ValueError(f"the formulas are those of tanh units, got nonlinearity={cell.nonlinearity!r}")
    outputs, _ = unroll(cell, inputs)
    logits = output_map(outputs[:, -1])
    loss = nn.functional.cross_entropy(logits, targets)
    error = logits.softmax(-1)
    error[torch.arange(len(targets)), targets] -= 1
    error /= len(targets)  # the loss is a mean over the batch

    local = 1 - outputs.square()
    gradient = error @ output_map.weight  # ∂L/∂h_T
    by_step = [gradient]
    for slope in local[:, 1:].flip(1).unbind(1):
        gradient = (slope * gradient) @ cell.weight_hh
        by_step.append(gradient)
    hidden = torch.stack(by_step[::-1], dim=1)
    before_tanh = local * hidden
    previous = torch.cat([torch.zeros_like(outputs[:, :1]), outputs[:, :-1]], dim=1)
    return RNNGradients(
        loss=loss,
        weight_ph=error.t() @ outputs[:, -1],
        bias_p=error.sum(0),
        weight_hx=torch.einsum("bth,bti->hi", before_tanh, inputs),
        weight_hh=torch.einsum("bth,btk->hk", before_tanh, previous),
        bias_h=before_tanh.sum((0, 1)),
        hidden=hidden,
    )
