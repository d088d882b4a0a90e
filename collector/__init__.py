"""From devices to live table, spool and store."""
