from gen.renderers import create_renderer
from gen.renderers.signer_small import SignerSmallRenderer
from pipelines.renderer_version import renderer_version


def test_a_renderer_without_weights_has_its_version_alone():
    assert renderer_version(create_renderer("avatar")) == "0.1"


def test_other_weights_or_settings_are_another_version_and_other_words_about_them_are_not(tmp_path):
    for name, held in {"first": b"1", "same": b"1", "other": b"2"}.items():
        (tmp_path / name / "unet").mkdir(parents=True)
        (tmp_path / name / "unet" / "weights.safetensors").write_bytes(held)
    (tmp_path / "same" / "README.md").write_text("A card.")
    (tmp_path / "configured").mkdir()
    (tmp_path / "configured" / "model_index.json").write_text("{}")
    first, same, other, configured = (
        renderer_version(SignerSmallRenderer(str(tmp_path / name))) for name in ("first", "same", "other", "configured")
    )
    assert first.startswith("0.1 weights ")
    assert first == same
    file = renderer_version(SignerSmallRenderer(str(tmp_path / "other" / "unet" / "weights.safetensors")))
    assert len({file, first, other, configured, renderer_version(SignerSmallRenderer())}) == 5
