"""From headroom and jobs to hints."""
