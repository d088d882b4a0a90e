"""The coldplate command."""
