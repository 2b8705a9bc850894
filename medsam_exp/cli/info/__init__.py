"""What can be chosen, read from the configuration's files without loading a network: the command `medsam-exp info`."""
