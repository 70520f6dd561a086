"""What the tests of faults share."""

from tests.faults.network import calm as calm
from tests.faults.network import network as network
from tests.faults.observed import observed as observed
from tests.faults.village import inhabited as inhabited
