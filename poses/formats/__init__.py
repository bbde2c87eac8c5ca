"""Codecs, one file each. `poses.io` chooses by what a file holds."""
