"""Files and folders: written whole or not at all, held by living processes, replaced only where they are nlptl's own."""
