"""From snapshot to forecast, plan and leases asked for."""
