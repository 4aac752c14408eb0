"""What will happen, before anything is spent: arithmetic on a recipe and its data. No torch."""
