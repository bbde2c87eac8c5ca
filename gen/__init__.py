"""Pose-conditioned video generation: synthetic signers, the diffusion model, and the renderers that draw with them."""
