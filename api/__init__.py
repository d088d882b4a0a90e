"""HTTP: reads everything, writes only operator intents and hint requests."""
