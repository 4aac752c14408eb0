"""The `dialogues` stage: dialogues with a teacher, from seeds or topics to finished conversations."""
