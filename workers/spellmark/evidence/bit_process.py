"""Evidence that may be looked at after every question: an e-process over the bits of a key.

Each sign of the key is read once, as a bet on how the answers lean there. If the suspect never
depended on the key, a fresh sign is a fair coin whatever was seen before, so that the fortune of
such bets is a martingale: by Ville's inequality it ever reaches 1/α with probability at most α,
under any rule for stopping or for choosing the next question. The standard library alone.
"""

import math

# No single stake suits weak and strong marks alike, so the capital is split over these.
STAKES = (0.1, 0.3, 0.5, 0.7, 0.9)


class BitProcess:
    """The fortune of bets on a key's signs, which starts at 1."""

    def __init__(self) -> None:
        self._logs = [0.0] * len(STAKES)
        self._most = 0.0

    def bet(self, lean: float, sign: int) -> None:
        """Read one fresh sign, +1 or -1. `lean`, in [-1, 1], must not depend on it."""
        self._logs = [
            log + math.log1p(stake * sign * lean)
            for log, stake in zip(self._logs, STAKES, strict=True)
        ]
        self._most = max(self._most, self.log_fortune)

    @property
    def log_fortune(self) -> float:
        """The natural logarithm of the fortune now."""
        most = max(self._logs)
        return most + math.log(sum(math.exp(log - most) for log in self._logs) / len(STAKES))

    @property
    def log_most(self) -> float:
        """The natural logarithm of the greatest fortune so far: exp(-log_most) is a p-value."""
        return self._most
