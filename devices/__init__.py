"""The edge's hands: device profiles and one seam per transport. Knows how to read and write, never why."""
