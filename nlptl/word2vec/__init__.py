"""Old import names, which programs of the first edition use. New code imports from the rooms that these modules name."""
