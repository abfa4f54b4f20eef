"""The scenario `mixed`: a day in a busy office. People type, read, send, scroll back and search, in given proportions.

Everybody has a socket, on which they type and hear the others, and an HTTP connection for the rest, with one request
under way at a time. Of every sender all members of the room must hear every message once, in order.
"""

import random
import select
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from chinwag.benchmarks.accounting import Faults, Member, RoomBooks
from chinwag.benchmarks.calls import Caller, Request, hang_up, request, run_calls
from chinwag.benchmarks.contestants import Site
from chinwag.benchmarks.errors import BenchError
from chinwag.benchmarks.meter import Meter
from chinwag.benchmarks.results import Result
from chinwag.benchmarks.stats import latency, percentile, rate_over_time
from chinwag.benchmarks.world import Plan
