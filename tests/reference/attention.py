"""Graph attention from its equations: one target, one head, one edge at a time, in float64."""

import torch
from torch import Tensor


def leaky_relu(z: Tensor, slope: float) -> Tensor:
    return torch.where(z > 0, z, slope * z)


def with_self_loops(
    edge_index: Tensor, edge_attr: Tensor | None, num_nodes: int, fill: str | float
) -> tuple[Tensor, Tensor | None]:
    """Existing self-loops removed, one added per node with the given features."""
    keep = edge_index[0] != edge_index[1]
    edge_index = edge_index[:, keep]
    loops = torch.arange(num_nodes)
    if edge_attr is not None:
        edge_attr = edge_attr[keep]
        rows = []
        for node in range(num_nodes):
            entering = edge_attr[edge_index[1] == node]
            if isinstance(fill, str):
                empty = torch.ones if fill == "mul" else torch.zeros
                if len(entering) == 0:
                    rows.append(empty(edge_attr.size(1), dtype=edge_attr.dtype))
                else:
                    reduce = {
                        "mean": lambda rows: rows.mean(0),
                        "add": lambda rows: rows.sum(0),
                        "min": lambda rows: rows.min(0).values,
                        "max": lambda rows: rows.max(0).values,
                        "mul": lambda rows: rows.prod(0),
                    }[fill]
                    rows.append(reduce(entering))
            else:
                rows.append(torch.full((edge_attr.size(1),), fill, dtype=edge_attr.dtype))
        edge_attr = torch.cat([edge_attr, torch.stack(rows)])
    return torch.cat([edge_index, loops.expand(2, -1)], dim=1), edge_attr


def gat_reference(
    weights: dict[str, Tensor],
    x: Tensor,
    edge_index: Tensor,
    edge_attr: Tensor | None = None,
    *,
    version: int,
    heads: int,
    slope: float = 0.2,
    concat: bool = True,
    self_loops: bool = True,
    fill: str | float = "mean",
) -> tuple[Tensor, Tensor, Tensor]:
    """``[N, F]`` to the layer's output, the edges used, and their attention ``[E, heads]``."""
    num_nodes = x.size(0)
    if self_loops:
        edge_index, edge_attr = with_self_loops(edge_index, edge_attr, num_nodes, fill)
    share = "lin_r.weight" not in weights
    outputs, alphas = [], torch.zeros(edge_index.size(1), heads, dtype=x.dtype)
    for head in range(heads):
        if version == 1:
            rows = weights["lin.weight"].chunk(heads)[head]
            left = right = x @ rows.T
        else:
            left = x @ weights["lin_l.weight"].chunk(heads)[head].T + weights["lin_l.bias"].chunk(heads)[head]
            name = "lin_l" if share else "lin_r"
            right = x @ weights[f"{name}.weight"].chunk(heads)[head].T + weights[f"{name}.bias"].chunk(heads)[head]
        out = []
        for node in range(num_nodes):
            entering = torch.nonzero(edge_index[1] == node).view(-1).tolist()
            logits = []
            for edge in entering:
                source = edge_index[0, edge]
                feature = None
                if edge_attr is not None:
                    feature = weights["lin_edge.weight"].chunk(heads)[head] @ edge_attr[edge]
                if version == 1:
                    z = weights["att_src"][0, head] @ left[source] + weights["att_dst"][0, head] @ right[node]
                    if feature is not None:
                        z = z + weights["att_edge"][0, head] @ feature
                    logits.append(leaky_relu(z, slope))
                else:
                    z = left[source] + right[node] + (0 if feature is None else feature)
                    logits.append(weights["att"][0, head] @ leaky_relu(z, slope))
            if not entering:
                out.append(torch.zeros(left.size(1), dtype=x.dtype))
                continue
            exponentials = torch.exp(torch.stack(logits))
            alpha = exponentials / exponentials.sum()
            alphas[entering, head] = alpha
            out.append(sum(a * left[edge_index[0, e]] for a, e in zip(alpha, entering, strict=True)))
        outputs.append(torch.stack(out))
    result = torch.cat(outputs, dim=1) if concat else torch.stack(outputs).mean(0)
    if "res.weight" in weights:
        result = result + x @ weights["res.weight"].T
    if "bias" in weights:
        result = result + weights["bias"]
    return result, edge_index, alphas
