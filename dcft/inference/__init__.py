"""From a finished cell to its use: predictions, exports and submissions."""
