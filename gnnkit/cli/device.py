"""Where to compute, as ``--device`` names it."""

from gnnkit.cli.command import BadUsageError


def checked_device(name: str) -> str:
    """``name``, if this machine computes there.

    Raises:
        BadUsageError: If it is no device this project runs on, or torch sees none of its kind here.
    """
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise BadUsageError(f"--device {name!r} is not known; choose cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BadUsageError(f"--device {name}: torch sees no such CUDA device here; leave it out to use the CPU")
    return name
