"""What a classifier needs to say that it does not know: prediction sets, and texts of no known label."""
