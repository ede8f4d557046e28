"""Start-up time of commands."""

import pytest

from bench import start


@pytest.mark.parametrize(("seconds", "verdict"), [(1.4, "met"), (1.6, "not met")])
def test_a_limit_is_met_by_the_median(seconds, verdict):
    times = {"run.py --cfg job": [{"wall_s": wall, "cpu_s": 0.5} for wall in (0.1, seconds, 9.0)]}
    page = start.page({"settings": {"repeat": 3, "model": "minilm-l6"}, "limits": start.LIMITS, "times": times})
    assert page[-1].split("|")[-2].strip() == verdict


@pytest.mark.slow
def test_the_first_step_takes_longer_than_reading_the_settings(measure):
    report, _ = measure("start", "--repeat", 1, "--model", "tiny-bert")
    [step] = report["times"]["first training step"]
    [settings] = report["times"]["run.py --cfg job"]
    assert step["wall_s"] > settings["wall_s"] > 0
    assert step["cpu_s"] > 0
    [further] = report["times"]["a further cell"]
    assert further["wall_s"] > 0
