"""A few hundred of the odd files and arguments of `make fuzz`."""

from __future__ import annotations

import pytest

from .fuzzer import KINDS, case

COUNT = 27


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=[kind.__name__ for kind in KINDS])
def test_only_the_packages_own_errors_come_out(kind):
    wrong = [said for number in range(kind, COUNT * len(KINDS), len(KINDS)) if (said := case(number))]
    assert not wrong, "\n".join(wrong)
