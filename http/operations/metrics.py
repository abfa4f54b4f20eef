"""Counters and histograms for Prometheus, out of plain numbers that the parts of the server keep themselves.

Nothing here is on a hot path: whoever counts adds to its own integers, and a scrape reads them. A part that wants to be
seen implements `StatsSource` and is handed to `Metrics`; it needs no Prometheus.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A number as it stands. A "counter" only rises; a "gauge" goes both ways. `labels` tell apart readings of one
    name, whose help, kind and label names agree. `name` is without prefix and without the counter's `_total`."""

    name: str
    help: str
    kind: Literal["counter", "gauge"]
    value: float
    labels: Mapping[str, str] = {}


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """How often values fell where. `counts[i]` is how many were at most `bounds[i]` and above the bound before; one
    more count at the end is for those above all bounds. `total` is the sum of all values."""

    name: str
    help: str
    bounds: Sequence[float]
    counts: Sequence[int]
    total: float
    labels: Mapping[str, str] = {}


class StatsSource(Protocol):
    """A part of the server that has numbers to show."""

    def readings(self) -> Iterable[Reading | Distribution]:
        """All numbers as they stand. Called at each scrape, on the event loop's thread; must not wait."""
        ...


class RequestCounts:
    """HTTP requests answered, by front, method and class of status. A `StatsSource`."""

    METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}

    def count(self, front: str, method: str, status: int) -> None:
        """One more answer. `front` is "" for what belongs to none.

        Methods that no route has count together as "other": a stranger must not be able to add series.
        """
        key = (front, method if method in self.METHODS else "other", status // 100)
        self._counts[key] = self._counts.get(key, 0) + 1

    def readings(self) -> Iterator[Reading]:
        """See `StatsSource`."""
        for (front, method, status), value in self._counts.items():
            labels = {"front": front, "method": method, "status": f"{status}xx"}
            yield Reading(name="http_requests", help="Answers sent", kind="counter", value=value, labels=labels)


class Metrics(Collector):
    """All sources of one server in one registry of its own."""

    def __init__(self, sources: Sequence[StatsSource], *, prefix: str = "chinwag_") -> None:
        self._sources = sources
        self._prefix = prefix
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def collect(self) -> Iterator[Metric]:
        """One family per name, in the order in which the sources give them."""
        families: dict[str, Metric] = {}
        for source in self._sources:
            for reading in source.readings():
                family = families.get(reading.name)
                if family is None:
                    family = families[reading.name] = self._family(reading)
                _add(family, reading)
        yield from families.values()

    def text(self) -> bytes:
        """All of it in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)

    def _family(self, reading: Reading | Distribution) -> Metric:
        name, labels = self._prefix + reading.name, list(reading.labels)
        if isinstance(reading, Distribution):
            return HistogramMetricFamily(name, reading.help, labels=labels)
        if reading.kind == "counter":
            return CounterMetricFamily(name, reading.help, labels=labels)
        return GaugeMetricFamily(name, reading.help, labels=labels)


def _add(family: Metric, reading: Reading | Distribution) -> None:
    labels = list(reading.labels.values())
    if isinstance(reading, Distribution) and isinstance(family, HistogramMetricFamily):
        buckets: list[tuple[str, float]] = []
        so_far = 0
        for bound, count in zip([*map(str, reading.bounds), "+Inf"], reading.counts, strict=True):
            so_far += count
            buckets.append((bound, so_far))
        family.add_metric(labels, buckets=buckets, sum_value=reading.total)
    elif isinstance(reading, Reading) and isinstance(family, CounterMetricFamily | GaugeMetricFamily):
        family.add_metric(labels, reading.value)
    else:
        raise TypeError(f"{reading.name} is two kinds of metric at once")
