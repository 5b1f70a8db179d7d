"""From text to a checked flow, or to every problem with it."""
