"""How many examples a property is tried with: few in `make test`, many in `make test-services`.

The profiles are Hypothesis's, chosen by `pytest --hypothesis-profile`: "short", which is the default, or "long".
"""

import pytest
from hypothesis import settings

settings.register_profile("short", max_examples=25, deadline=None)
settings.register_profile("long", max_examples=300, deadline=None)
settings.load_profile("short")


def examples(number: int) -> int:
    """The number for this run of a test that takes `number` where others, which say nothing, take 100."""
    return max(1, number * settings().max_examples // 100)


def seeds(number: int) -> pytest.MarkDecorator:
    """Run a test with a `seed` for each of the examples, of which this run has as many as of a property's."""
    each = [pytest.param(seed, marks=pytest.mark.hypothesis) for seed in range(examples(number))]
    return pytest.mark.parametrize("seed", each)
