"""Renderers by name, one file per backbone."""

from collections.abc import Callable, Mapping

from gen.renderers.base import Placement, Renderer, SignerPicture

__all__ = ["RENDERERS", "Placement", "Renderer", "SignerPicture", "create_renderer"]


def _avatar(guidance_scale: Mapping[str, float]) -> Renderer:
    from gen.renderers.avatar import AvatarRenderer

    if guidance_scale:
        raise ValueError(f"`guidance_scale` must be left out for avatar, got {dict(guidance_scale)}.")
    return AvatarRenderer()


def _signer_small(guidance_scale: Mapping[str, float]) -> Renderer:
    from gen.renderers.signer_small import SignerSmallRenderer

    return SignerSmallRenderer(guidance_scale=guidance_scale)


RENDERERS: dict[str, Callable[[Mapping[str, float]], Renderer]] = {"avatar": _avatar, "signer-small": _signer_small}
"""Makes each renderer; loading weights is left to the first frame."""


def create_renderer(name: str, *, guidance_scale: Mapping[str, float] | None = None) -> Renderer:
    """Makes the renderer of that name.

    Args:
        name: One of `RENDERERS`.
        guidance_scale: How far to follow each of `gen.conditions.CONDITIONS`, where that is not 1.

    Raises:
        ValueError: There is none, or it is not guided by conditions.
    """
    if name not in RENDERERS:
        raise ValueError(f"`renderer` must be one of {', '.join(RENDERERS)}, got {name!r}.")
    return RENDERERS[name](guidance_scale or {})
