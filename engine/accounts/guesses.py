"""Guessing: failed tries are counted, and beyond the first few each costs a wait that doubles. Pure: the time is handed
in, and nothing waits here.

Tries are told apart by the account that they are for, as it was named, and by the source that they come from:

- by account and source together, as long as it takes to tell a forgetful owner from somebody who guesses;
- by source over all accounts: one password tried on many accounts;
- by account over all sources: one account tried from many places.

So that nobody can lock the owner out by guessing, an account's known sources (where it proved itself before) have a
count of their own and no other, and what others fail at from elsewhere binds a source only once it has failed at that
account itself; from then on it waits after its own failures, not after everybody's.
"""

from collections import OrderedDict
from collections.abc import Hashable

from chinwag.engine.model.values import Record

Account = Hashable
Source = str


class GuessRules(Record):
    """When failures begin to cost time, and how much."""

    free: int = 10
    """So many failures cost nothing."""
    first_wait_s: float = 1.0
    """The wait after the last of these. Each further failure doubles it."""
    longest_wait_s: float = 900.0
    forget_s: float = 900.0
    """Of an account's failures one is forgotten in so many seconds without another."""
    forget_source_s: float = 60.0
    """Of a source's failures over all accounts: many people may share one."""
    kept: int = 100_000
    """Counts, and known sources, that are remembered of each kind; beyond it the least recent go."""


class Failures:
    """How often something failed, by key, and the wait that this costs."""

    def __init__(self, rules: GuessRules, *, forget_s: float) -> None:
        self._rules = rules
        self._forget_s = forget_s
        self._counts: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()
        """The failures up to and with the last one, and when that was. The least recent first."""
        doublings = 0
        while rules.first_wait_s * 2**doublings < rules.longest_wait_s:
            doublings += 1
        self._most = rules.free + doublings
        """A failure beyond this would change nothing, and take longer to be forgotten."""

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, key: Hashable, now: float) -> int:
        """How many failures are remembered."""
        failures, last = self._counts.get(key, (0, now))
        return max(0, failures - int((now - last) / self._forget_s))

    def add(self, key: Hashable, now: float) -> None:
        """One more. `now` never goes back."""
        self._counts[key] = (min(self.count(key, now) + 1, self._most), now)
        self._counts.move_to_end(key)
        while self._counts:
            oldest = next(iter(self._counts))
            if len(self._counts) <= self._rules.kept and self.count(oldest, now):
                return
            del self._counts[oldest]

    def forget(self, key: Hashable) -> None:
        """Count anew from 0."""
        self._counts.pop(key, None)

    def cost_s(self, key: Hashable, now: float) -> float:
        """The wait that so many failures cost, from the last of them on."""
        beyond = self.count(key, now) - self._rules.free
        if beyond < 0:
            return 0.0
        return min(self._rules.first_wait_s * 2.0**beyond, self._rules.longest_wait_s)

    def wait_s(self, key: Hashable, now: float, *, least_s: float = 0.0) -> float:
        """How long until the next try; `least_s` is what a failure costs for another reason."""
        known = self._counts.get(key)
        if known is None:
            return 0.0
        return max(0.0, known[1] + max(self.cost_s(key, now), least_s) - now)


class Guesses:
    """Who has failed to say an account's password, and how long they have to wait for the next try."""

    def __init__(self, rules: GuessRules) -> None:
        self._kept = rules.kept
        self._pairs = Failures(rules, forget_s=rules.forget_s)
        self._accounts = Failures(rules, forget_s=rules.forget_s)
        self._sources = Failures(rules, forget_s=rules.forget_source_s)
        self._known: OrderedDict[tuple[Account, Source], None] = OrderedDict()

    def knows(self, account: Account, source: Source) -> bool:
        """Whether this account proved itself from this source, as far as that is remembered."""
        return (account, source) in self._known

    def wait_s(self, account: Account, source: Source, now: float) -> float:
        """How long this source has to wait before it may try a password of this account, 0 when it need not."""
        pair = (account, source)
        if pair in self._known:
            return self._pairs.wait_s(pair, now)
        failed_here = self._pairs.count(pair, now)
        elsewhere_s = self._accounts.cost_s(account, now) if failed_here else 0.0
        return max(self._pairs.wait_s(pair, now, least_s=elsewhere_s), self._sources.wait_s(source, now))

    def failed(self, account: Account, source: Source, now: float) -> None:
        """It was the wrong password, or there is no such account: they must not differ. An empty source is unknown, and
        not one for all."""
        pair = (account, source)
        self._pairs.add(pair, now)
        if pair in self._known:
            return
        self._accounts.add(account, now)
        if source:
            self._sources.add(source, now)

    def proved(self, account: Account, source: Source) -> None:
        """The account's owner is there: what failed at this account from there was theirs."""
        pair = (account, source)
        self._pairs.forget(pair)
        self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > self._kept:
            self._known.popitem(last=False)
