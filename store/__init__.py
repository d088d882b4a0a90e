"""The memory: samples and records, the audit chain, and the bus between processes of one host."""
