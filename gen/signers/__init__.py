"""Synthetic signers: a body model fitted to poses, dressed, moved and rendered."""
