"""From leases asked for to verified writes, and back to default."""
