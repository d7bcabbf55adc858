"""Programs that live on what the workers put out, each with a database of its own, which holds its position, too."""
