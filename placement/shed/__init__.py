"""Load that has to go in a cooling fault: the plan, and the process that carries it out and gives it back."""
