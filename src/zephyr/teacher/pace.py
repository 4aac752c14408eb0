"""When the next request may start: rate limits, and pauses that a server asks for; and how long to wait for a retry."""

import asyncio
import random

LONGEST_WAIT_S = 60
"""Of a retry, unless the server itself asks for more."""


class Pace:
    """Spreads the starts of requests evenly: no minute has more of them, or of their tokens, than is allowed."""

    def __init__(self, requests_per_minute: int | None, tokens_per_minute: int | None) -> None:
        self._request_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._token_s = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._next_s = 0.0
        """Time of the event loop at which the next request may start."""
        self._paused_until_s = 0.0

    async def start(self, n_tokens: int) -> None:
        """Returns when a request of at most so many tokens may start."""
        clock = asyncio.get_running_loop().time
        if self._request_s or self._token_s:
            begin = max(clock(), self._next_s)
            self._next_s = begin + max(self._request_s, n_tokens * self._token_s)
            if begin > clock():
                await asyncio.sleep(begin - clock())
        while (wait_s := self._paused_until_s - clock()) > 0:
            await asyncio.sleep(wait_s)

    def give_back(self, n_tokens: int) -> None:
        """So many of a request's tokens were not used after all: the next may start earlier."""
        if self._token_s and n_tokens > 0:
            # the requests' own spacing stays: only what the tokens had added to it is taken back
            self._next_s = max(self._next_s - n_tokens * self._token_s, asyncio.get_running_loop().time())

    def pause(self, seconds: float) -> None:
        """No request starts for so long: the server asked for it."""
        self._paused_until_s = max(self._paused_until_s, asyncio.get_running_loop().time() + seconds)


def wait_s(attempt: int, *, first_s: float, asked_s: float | None) -> float:
    """How long to wait after a failed attempt (counted from 1).

    Twice as long each time, half of it by chance so that calls that failed together don't come back together; not
    less than what the server asked for.
    """
    longest = min(LONGEST_WAIT_S, first_s * 2 ** (attempt - 1))
    drawn = random.uniform(longest / 2, longest)
    return drawn if asked_s is None else asked_s + random.uniform(0, min(first_s, 1 + asked_s / 10))
