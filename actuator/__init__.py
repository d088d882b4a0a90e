"""Leases asked for, guarded, written, read back, verified; and let go when they end."""
