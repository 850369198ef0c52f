"""Events in long recordings."""
