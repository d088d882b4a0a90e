"""A site file and its profiles become a checked plant."""
