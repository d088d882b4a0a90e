"""Conditions of every room on one board, worst first."""
