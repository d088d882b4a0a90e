"""Online identification: what the plant's parameters are, how sure that is, and what has changed since it was new."""
