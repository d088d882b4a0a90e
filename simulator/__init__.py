"""A richer plant than the controller's model, served over real protocols."""
