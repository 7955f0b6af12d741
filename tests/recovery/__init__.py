"""Recovery on real servers: arm, fence, capture, undo, clone."""
