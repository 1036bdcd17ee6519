"""Training for a given time: how much of it is spent, and which share of the run is done."""


class TimeBudget:
    """The time of a run that trains for so many seconds, over all its starts.

    Whatever a start does counts: torch.compile, saving, samples on the way. Its first step, in
    which torch.compile may work for a minute, takes its time from what is left but does not move
    `share`. So a schedule over the share sees all the other steps, and ends when the time does.

    Args:
        seconds: in all.

    Attributes:
        spent: seconds so far.
        share: of the run, from 0 to 1.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.spent, self.share = seconds, 0.0, 0.0
        self.ticks, self.now = 0, 0.0  # of this start
        self.first = 0.0  # when its first step ended

    def tick(self, now: float) -> None:
        """Count the time since the last tick as that of a step.

        Args:
            now: in seconds, by any clock; the first call only says when this start began.
        """
        if self.ticks:
            passed, left = now - self.now, self.seconds - self.spent
            self.spent += passed
            if self.ticks == 1:
                self.first = now
            elif passed > 0:
                self.share += (1 - self.share) * passed / max(left, passed)
        self.now, self.ticks = now, self.ticks + 1

    def over(self) -> bool:
        """Whether one more step would end too late, by the mean time of those of this start."""
        steps = self.ticks - 2
        seconds = (self.now - self.first) / steps if steps > 0 else 0.0
        return self.spent + seconds >= self.seconds

    def close(self) -> None:
        """The run is done; another start has nothing left."""
        self.spent, self.share = self.seconds, 1.0

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"spent": self.spent, "share": self.share}

    def load(self, state: dict[str, float]) -> None:
        """Go on with what is left."""
        self.spent, self.share = state["spent"], state["share"]
