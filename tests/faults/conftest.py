"""What the tests of faults share."""

from tests.faults.observed import observed as observed
