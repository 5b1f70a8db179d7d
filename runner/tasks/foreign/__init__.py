"""Programs that are run by other Pythons than ours: the task's, in an image or here."""
