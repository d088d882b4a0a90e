"""The facility-operations web page, built into this package."""
