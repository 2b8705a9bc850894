"""From the masks of a run back to the frame of the scans that its images were cut from."""
