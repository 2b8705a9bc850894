"""Looks for what makes scores untrustworthy in a dataset: copies, leaks, faulty masks, text burnt into images."""
