"""Waits for what the clock does."""
import time

from wire import PATIENCE_S

DAY_S = 86400


def keep_clear_of_midnight():
    """Days and months of budgets begin at midnight, UTC: a test that runs over it would see two. Returns
    when there is time for a test before the next one."""
    left_s = DAY_S - time.time() % DAY_S
    if left_s < PATIENCE_S:
        time.sleep(left_s + 1)
