import json

from recognizer.curves import LossCurve, draw_curves


def test_losses_are_written_and_gone_on_with(tmp_path):
    curve = LossCurve(tmp_path / "run" / "curve.jsonl")
    rows = [{"loss": 4.0, "half": 2.0}, {"loss": 2.0, "half": 1.0}]
    curve.rows += rows
    curve.save()
    assert [json.loads(line) for line in curve.path.read_text().splitlines()] == rows
    assert curve.path.with_suffix(".png").exists()
    assert LossCurve(curve.path, steps=1).rows == rows[:1]
    assert LossCurve(curve.path).rows == []


def test_every_loss_is_a_line_in_its_colour():
    picture = draw_curves([{"loss": 10.0 / step, "text": 1.0} for step in range(1, 301)])
    colours = {colour for _, colour in picture.getcolors(100_000)}
    assert {(0, 0, 0), (220, 20, 60), (255, 255, 255)} <= colours
    blank = draw_curves([])
    assert blank.getcolors() == [(blank.width * blank.height, (255, 255, 255))]
