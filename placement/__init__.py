"""Where a job fits, at what cost in cooling watts, and why."""
