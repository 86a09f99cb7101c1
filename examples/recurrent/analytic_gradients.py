"""Are the gradients derived by hand right? dL/dW_ph and dL/dW_hh of an RNN against autograd.

dL/dW_ph = (y^ - y) h_T^T needs the last state alone; dL/dW_hh is a sum over all steps k, each reached
through the product of full Jacobians diag(1 - h_j²) W_hh for j = k+1 .. T. Three of the reports have the
sign of y^ - y turned round or the Jacobians element by element; the last line shows what that costs.

    $ python examples/recurrent/analytic_gradients.py
    seed 0, T = 20, float64: largest difference, as a share of the largest entry
    weight_ph  4e-16
    weight_hh  1e-15
    weight_hx  7e-16
    weight_hh with element-wise 'Jacobians'  0.5
"""

import torch
from torch.nn.functional import cross_entropy

from recurrent import RNNCell, unroll
from recurrent.analytic_gradients import rnn_gradients
from recurrent.tasks import Palindromes


def main() -> None:
    torch.manual_seed(0)
    task = Palindromes(20)
    cell, output_map = RNNCell(task.input_size, 32).double(), torch.nn.Linear(32, task.num_outputs).double()
    inputs, targets = task.sample(64, torch.Generator().manual_seed(0))
    inputs = inputs.double()
    by_hand = rnn_gradients(cell, output_map, inputs, targets)
    hidden, _ = unroll(cell, inputs)
    cross_entropy(output_map(hidden[:, -1]), targets).backward()
    autograd = {"weight_ph": output_map.weight.grad, "weight_hh": cell.weight_hh.grad, "weight_hx": cell.weight_ih.grad}
    print("seed 0, T = 20, float64: largest difference, as a share of the largest entry")
    for name, theirs in autograd.items():
        difference = (getattr(by_hand, name) - theirs).abs().max() / theirs.abs().max()
        print(f"{name}  {float(difference):.0e}")
    wrong = element_by_element(cell, hidden.detach(), by_hand.hidden[:, -1])
    difference = (wrong - cell.weight_hh.grad).abs().max() / cell.weight_hh.grad.abs().max()
    print(f"weight_hh with element-wise 'Jacobians'  {float(difference):.1f}")


@torch.no_grad()
def element_by_element(cell: RNNCell, hidden: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The recursion as the reports have it: every unit hears only itself, through the diagonal of W_hh."""
    before = torch.cat([torch.zeros_like(hidden[:, :1]), hidden[:, :-1]], dim=1)
    total = torch.zeros_like(cell.weight_hh)
    for step in range(hidden.size(1) - 1, -1, -1):
        local = (1 - hidden[:, step].square()) * gradient
        total += local.t() @ before[:, step]
        gradient = local * cell.weight_hh.diagonal()
    return total


if __name__ == "__main__":
    main()
