"""Tables read in chunks, each as of one exact position of the log."""
