"""What every room needs of the machine: files, locks, processes, signals, random numbers, progress."""
