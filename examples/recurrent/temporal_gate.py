"""When may a unit of a Phased LSTM change? What tau, s and r_on do to its temporal gate k(t).

A unit's clock has the period tau, starts at s, and lets the unit change during the share r_on of each
period: k rises to 1 and falls to 0 again. Report 003 (2018) drew these. Each line is 40 steps of time;
the fuller the block, the wider open the gate.

    $ python examples/recurrent/temporal_gate.py
    tau 10, s 0, r_on 0.4  | ▄█▄       ▄█▄       ▄█▄       ▄█▄      |
    tau 15, s 0, r_on 0.4  | ▃▅█▅▃          ▃▅█▅▃          ▃▅█▅▃    |
    tau 20, s 0, r_on 0.4  | ▂▄▆█▆▄▂             ▂▄▆█▆▄▂            |
    tau 15, s 3, r_on 0.4  |    ▃▅█▅▃          ▃▅█▅▃          ▃▅█▅▃ |
    tau 15, s 6, r_on 0.4  |       ▃▅█▅▃          ▃▅█▅▃          ▃▅█|
    tau 15, s 0, r_on 0.2  | ▅▅             ▅▅             ▅▅       |
    tau 15, s 0, r_on 0.8  | ▁▃▄▅▇█▇▅▄▃▁    ▁▃▄▅▇█▇▅▄▃▁    ▁▃▄▅▇█▇▅▄|
       ... with a leak of .2 | ▃▅█▅▃▁▁▁▁▁▁▁▁▁ ▃▅█▅▃ ▁▁▁▁▁▁▁▁ ▃▅█▅▃▁▁▁▁|

`gnnkit sequence temporal-gate --plot gates.png` draws the same as curves.
"""

import torch

from recurrent.cells import temporal_gate

BLOCKS = " ▁▂▃▄▅▆▇█"


def drawn(tau: float, s: float, r_on: float, leak: float = 0.0) -> str:
    k = temporal_gate(torch.arange(40.0), torch.tensor(tau), torch.tensor(s), torch.tensor(r_on), leak)
    return "".join(BLOCKS[round(8 * value)] for value in k.tolist())


def main() -> None:
    for tau in (10.0, 15.0, 20.0):
        print(f"tau {tau:2.0f}, s 0, r_on 0.4  |{drawn(tau, 0.0, 0.4)}|")
    for s in (3.0, 6.0):
        print(f"tau 15, s {s:.0f}, r_on 0.4  |{drawn(15.0, s, 0.4)}|")
    for r_on in (0.2, 0.8):
        print(f"tau 15, s 0, r_on {r_on}  |{drawn(15.0, 0.0, r_on)}|")
    print(f"   ... with a leak of .2 |{drawn(15.0, 0.0, 0.4, leak=0.2)}|")


if __name__ == "__main__":
    main()
