import pytest

from pipelines.progress import Stages


def test_stages_are_timed_in_order_and_added_up():
    stages = Stages()
    for name in ("load", "render", "load"):
        with stages.stage(name):
            pass
    assert list(stages.seconds) == ["load", "render"]
    assert stages.total_seconds == sum(stages.seconds.values()) > 0


def test_frames_pass_through_and_are_counted():
    told = []
    stages = Stages(on_progress=lambda *progress: told.append(progress))
    with stages.stage("render", 2) as track:
        assert list(track("ab")) == ["a", "b"]
    assert told == [("render", 0, 2, None), ("render", 1, 2, "a"), ("render", 2, 2, "b")]


def test_one_bar_counts_several_passes():
    told = []
    with Stages(on_progress=lambda *progress: told.append(progress)).stage("draw", 4) as track:
        list(track("ab"))
        list(track("cd"))
    assert told[-1] == ("draw", 4, 4, "d")


def test_a_failed_stage_has_no_time():
    stages = Stages()
    with pytest.raises(ValueError, match="no"), stages.stage("render"):
        raise ValueError("no")
    assert stages.seconds == {}


def test_the_bar_is_on_standard_error_and_only_when_asked_for(capsys):
    with Stages().stage("render", 1) as track:
        list(track("a"))
    assert capsys.readouterr() == ("", "")
    with Stages(show=True).stage("render", 1) as track:
        list(track("a"))
    out, err = capsys.readouterr()
    assert out == ""
    assert "render" in err
    assert "1/1" in err
