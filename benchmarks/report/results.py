"""What a run measured, as plain values that become JSON, tables and plots."""

from dataclasses import asdict, dataclass, field
from typing import Any

from chinwag.benchmarks.generator.accounting import Faults
from chinwag.benchmarks.report.statistics import Latency


@dataclass(slots=True, kw_only=True)
class Result:
    """One scenario on one server, once."""

    scenario: str
    server: str
    parameters: dict[str, Any]
    unit: str
    """What `rate` counts per second."""
    rate: float
    seconds: float
    messages: int = 0
    deliveries: int = 0
    latency: Latency | None = None
    over_time: tuple[tuple[float, float], ...] = ()
    """(seconds since the start, rate then)."""
    faults: Faults = field(default_factory=Faults)
    complaints: list[str] = field(default_factory=list)
    server_cpu_s: float | None = None
    server_peak_bytes: int | None = None
    client_cpu_s: float = 0.0
    start_s: float | None = None
    """From the server's start to its first answer."""
    more: dict[str, float] = field(default_factory=dict)
    """What only this scenario measures."""

    @property
    def delivery_rate(self) -> float:
        """Single deliveries per second."""
        return self.deliveries / self.seconds if self.seconds else 0.0

    @property
    def client_share(self) -> float:
        """How much of its core the generator used: near 1 it may be the bottleneck."""
        return self.client_cpu_s / self.seconds if self.seconds else 0.0

    @property
    def per_cpu_s(self) -> float | None:
        """How much was done per second of the server's processor time: hardly changes when others use the machine."""
        if not self.server_cpu_s or not self.messages:
            return None
        return self.messages / self.server_cpu_s

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"delivery_rate": self.delivery_rate, "client_share": self.client_share}
