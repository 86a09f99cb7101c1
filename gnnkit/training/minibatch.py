"""Training a node classifier on mini-batches with sampled neighbours; scoring it with all of them.

A step sees some training nodes and at most so many neighbours of each (`gnnkit.data.BlockLoader`); an epoch
is every training node once. Batches depend on the seed, the epoch and their place alone, so a run that is
resumed at an epoch goes on as if it had never stopped, with any number of workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gnnkit.data.neighbor_loader import BlockBatch, BlockLoader, plain_features
from gnnkit.data.node_data import NodeData
from gnnkit.graph.sampled_block import BlockSampler
from gnnkit.nn.rows import checked_rows
from gnnkit.runs import Interrupted, StopRequest
from gnnkit.training.layerwise import LayeredModel, Layerwise, check_layered
from gnnkit.training.metrics import accuracy, check_classes

DEFAULT_FANOUT = 10
LONG_EPOCH = 5.0  # seconds; a shorter epoch is finished first, so that its checkpoint is written


def fanouts_of(model: nn.Module, fanout: Sequence[int] | None) -> tuple[int, ...]:
    """One fan-out per layer of the model: those given, or ten each.

    Raises:
        ValueError: If the model takes no blocks or is more than its layers, or there is not one fan-out per layer.
    """
    if not (getattr(model, "takes_blocks", False) and hasattr(model, "enter")):
        raise ValueError(
            f"mini-batches need a model that takes blocks, such as GCN or GAT of gnnkit.models, got "
            f"{type(model).__name__}; train it without batch_size, or feed it from gnnkit.data.NeighborLoader"
        )
    check_layered(model)
    num_layers = cast(int, model.num_layers)
    if fanout is None:
        return (DEFAULT_FANOUT,) * num_layers
    if len(fanout) != num_layers:
        raise ValueError(f"fanout needs one number per layer, {num_layers}, got {list(fanout)}")
    return tuple(fanout)


class MiniBatches:
    """A model's passes over sampled batches, and its exact scores.

    Args:
        model: One that takes blocks.
        data: In memory or memory-mapped; it stays on the CPU, and batches move to the model.
        batch_size: Training nodes per step.
        fanout: Neighbours per node and layer; ten each where None.
        seed: Of shuffles and neighbours.
        workers: Processes that prepare batches.
        device: Where the model is.
        share: Which process's share of every batch, and of how many; see `gnnkit.data.SeedOrder`.

    Raises:
        ValueError: If the model takes no blocks or is more than its layers, or there is not one fan-out per layer.
    """

    def __init__(
        self,
        model: nn.Module,
        data: NodeData,
        *,
        batch_size: int,
        fanout: Sequence[int] | None = None,
        seed: int = 0,
        workers: int = 0,
        device: str = "cpu",
        share: tuple[int, int] = (0, 1),
    ) -> None:
        fanouts = fanouts_of(model, fanout)
        self.loader = BlockLoader(
            data,
            fanouts,
            data.train_mask,
            batch_size=batch_size,
            shuffle=True,
            seed=seed,
            num_workers=workers,
            share=share,
        )
        self.data, self.device, self.num_classes = data, device, data.num_classes
        self.val_nodes = torch.nonzero(data.val_mask).view(-1)
        self._layerwise = Layerwise(self.loader.block_sampler, self.loader.features, device=device)

    def train_epoch(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        epoch: int,
        *,
        stop: StopRequest | None = None,
        tell: Callable[[int, int], None] | None = None,
    ) -> dict[str, float]:
        """One step per batch of the epoch (counted from 1); loss and accuracy are means over its nodes.

        Raises:
            Interrupted: If a stop is asked for within a long epoch; what it had learned is lost, and comes again.
        """
        model.train()
        self.loader.set_epoch(epoch)
        loss_sum = torch.zeros((), dtype=torch.float64)
        right, seen, started = 0.0, 0, time.monotonic()
        for number, cpu_batch in enumerate(self.loader, start=1):
            batch: BlockBatch = cpu_batch.to(self.device)
            optimizer.zero_grad()
            logits = self.batch_logits(model, batch)
            loss = cross_entropy(logits, batch.y)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss_sum += batch.y.numel() * loss.detach().cpu()
            right += batch.y.numel() * accuracy(logits, batch.y)
            seen += batch.y.numel()
            if tell is not None:
                tell(number, len(self.loader))
            long = time.monotonic() - started > LONG_EPOCH
            if long and number < len(self.loader) and stop is not None and stop.requested:
                raise Interrupted(f"stopped within epoch {epoch}; continue with --resume")
        return {"train_loss": float(loss_sum) / seen, "train_accuracy": right / seen}

    def batch_logits(self, model: nn.Module, batch: BlockBatch) -> Tensor:
        """The model's output at the batch's nodes.

        Raises:
            TypeError: If the model does not give a row of numbers per node.
            ValueError: If it gives fewer than there are classes.
        """
        logits = checked_rows(model, model(batch.x, batch.blocks), batch.y.numel())
        check_classes(logits, self.num_classes, model)
        return logits

    def score(self, model: nn.Module) -> dict[str, float]:
        """Loss and accuracy on the validation nodes, with every neighbour; nothing where there are none."""
        if not self.val_nodes.numel():
            return {}
        labels, logits = self.data.y[self.val_nodes], self.logits(model, self.val_nodes)
        return {"val_loss": float(cross_entropy(logits, labels)), "val_accuracy": accuracy(logits, labels)}

    def logits(self, model: nn.Module, nodes: Tensor) -> Tensor:
        """The model's output at ``nodes``, with every neighbour."""
        model.eval()
        return self._layerwise.logits(cast(LayeredModel, model), nodes)


def layerwise_of(data: NodeData, device: str = "cpu") -> Layerwise:
    """Runs a model on all of the data, layer by layer."""
    return Layerwise(BlockSampler(data.adjacency, [DEFAULT_FANOUT]), plain_features(data.x), device=device)
