"""The vocabulary of coldplate: pure types and functions, standard library and numpy only."""
