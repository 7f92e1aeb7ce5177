"""What fails while the machine stands still is told from what fails by itself."""

import time

from support.pulse import STILL_S, Pulse


def test_it_is_missed_only_while_nothing_runs():
    pulse = Pulse()
    child = pulse._child
    pulse.start()
    try:
        time.sleep(0.3)  # python is up
        pulse.begin()
        child.freeze()
        time.sleep(2 * STILL_S + 0.2)
        child.thaw()
        child.until(pulse.missed, 10, "a late beat")
        pulse.begin()
        assert not pulse.missed()
    finally:
        pulse.close()
