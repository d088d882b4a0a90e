"""From meters to energy, KPIs and documents."""
