"""The HTTP API: reads everything, forwards operators' intents to the edge, and serves the page."""
