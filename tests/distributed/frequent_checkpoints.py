"""``gnnkit``, with a checkpoint every twenty epochs instead of every ten seconds, so that tests may be short."""

import faulthandler

from gnnkit.cli.start import main
from gnnkit.training import session


class EveryTwenty:
    """Takes the place of `gnnkit.runs.CheckpointTimer`."""

    def __init__(self) -> None:
        self.asked = 0

    def due(self) -> bool:
        self.asked += 1
        return self.asked % 20 == 0

    def restart(self) -> None:
        self.asked = 0


if __name__ == "__main__":
    faulthandler.enable()
    session.CheckpointTimer = EveryTwenty  # type: ignore[misc,assignment]
    main()
