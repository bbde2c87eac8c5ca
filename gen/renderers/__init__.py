"""Renderers by name, one file per backbone."""

from collections.abc import Callable

from gen.renderers.base import Placement, Renderer, SignerPicture

__all__ = ["RENDERERS", "Placement", "Renderer", "SignerPicture", "create_renderer"]


def _avatar() -> Renderer:
    from gen.renderers.avatar import AvatarRenderer

    return AvatarRenderer()


def _signer_small() -> Renderer:
    from gen.renderers.signer_small import SignerSmallRenderer

    return SignerSmallRenderer()


RENDERERS: dict[str, Callable[[], Renderer]] = {"avatar": _avatar, "signer-small": _signer_small}
"""Makes each renderer; loading weights is left to the first frame."""


def create_renderer(name: str) -> Renderer:
    """Makes the renderer of that name.

    Raises:
        ValueError: There is none.
    """
    if name not in RENDERERS:
        raise ValueError(f"`renderer` must be one of {', '.join(RENDERERS)}, got {name!r}.")
    return RENDERERS[name]()
