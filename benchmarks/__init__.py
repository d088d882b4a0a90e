"""Figures against peers and limits, behind the bench command."""
